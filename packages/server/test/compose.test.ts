import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { DCLinter } from "dclint"
import { Effect, Schema } from "effect"
import { afterAll, describe, expect, it } from "vitest"
import { readSettings } from "../src/config.ts"
import { environmentOf, readStages, readText, textsOf } from "./dockerfile.ts"
import { itNeeds } from "./faults/needs.ts"
import { missingNats, NATS_SERVER } from "./nats/nats-server.ts"
import { removeLeftovers, temporaryFolder } from "./process.ts"

const ROOT = join(import.meta.dirname, "../../..")
const FILE = "docker-compose.yml"
/** From the signal to the end: the edge 3 s, execution 20 s, three inboxes 2 s each. */
const DRAIN_SECONDS_MAX = 30

const Healthcheck = Schema.Struct({ test: Schema.Array(Schema.String) })
/** What these tests look at; that the rest is right, the schema of the Compose Specification says. */
const Compose = Schema.Struct({
  services: Schema.Struct({
    nats: Schema.Struct({
      image: Schema.String,
      command: Schema.Array(Schema.String),
      configs: Schema.Array(Schema.Struct({ source: Schema.String, target: Schema.String })),
      volumes: Schema.Array(Schema.String),
      healthcheck: Healthcheck
    }),
    service: Schema.Struct({
      build: Schema.String,
      depends_on: Schema.Record(Schema.String, Schema.Struct({ condition: Schema.String })),
      environment: Schema.Record(Schema.String, Schema.String),
      ports: Schema.Array(Schema.String),
      volumes: Schema.Array(Schema.String),
      stop_grace_period: Schema.String
    })
  }),
  volumes: Schema.Record(Schema.String, Schema.Unknown),
  configs: Schema.Record(Schema.String, Schema.Struct({ content: Schema.String }))
})

const text = readText(ROOT, FILE)
const compose = Schema.decodeUnknownSync(Compose)(Bun.YAML.parse(text))
const { nats, service } = compose.services
const brokerConfig = compose.configs["nats"]?.content ?? ""
const finalStage = readStages(readText(ROOT, "Dockerfile")).at(-1)
const image = environmentOf(finalStage)

afterAll(removeLeftovers)

/** What the linter finds wrong: the syntax, the schema of the Compose Specification, open ports, tags that move. */
const problemsOf = (yaml: string): ReadonlyArray<string> => {
  using folder = temporaryFolder()
  writeFileSync(join(folder.path, FILE), yaml)
  const linter = new DCLinter({
    rules: { "require-quotes-in-ports": [2, { quoteType: "double" }] },
    quiet: true,
    debug: false,
    exclude: []
  })
  const results = linter.lintFiles([join(folder.path, FILE)], false)
  if (results.length !== 1) throw new Error("the file was not looked at")
  return results.flatMap(({ messages }) => messages.map(({ rule, message }) => `${rule}: ${message}`))
}

describe("docker-compose.yml", () => {
  it("is as the Compose Specification wants it", () => {
    expect(problemsOf(text)).toEqual([])
  })

  it.each([
    ["a key twice", /^ {2}service:$/m, "  nats:", "invalid-yaml"],
    ["an unknown key", /^ {4}image:/m, "    imagine:", "invalid-schema"],
    ["a wrong value", "condition: service_healthy", "condition: healthy", "invalid-schema"],
    ["an inline configuration that is none", "content: |", "contents: |", "invalid-schema"],
    ["a tag that moves", /nats:2\.\S+/, "nats:latest", "service-image-require-explicit-tag"],
    ["a port open to everybody", "127.0.0.1:3000:3000", "3000:3000", "no-unbound-port-interfaces"]
  ])("would be refused with %s", (_, part, instead, rule) => {
    const broken = text.replace(part, instead)
    expect(broken).not.toBe(text)
    expect(problemsOf(broken).join()).toContain(rule)
  })

  it("pins the line of the broker that production runs", () => {
    expect(nats.image).toMatch(/^nats:2\.12(\.\d+)?-alpine$/)
  })

  it("sets nothing that the program does not know, and nothing wrong", () => {
    const known = new Set<string>()
    const watched = new Proxy<Record<string, string>>({}, { get: (_, key) => void known.add(String(key)) })
    Effect.runSync(readSettings(watched, false))
    expect(known.has("NATS_URL")).toBe(true)
    for (const key of [...Object.keys(service.environment), ...Object.keys(image)]) {
      expect([key, known.has(key)]).toEqual([key, true])
    }
    const settings = Effect.runSync(readSettings({ ...image, ...service.environment }, false))
    expect(settings).toMatchObject({ host: "0.0.0.0", port: 3000, echoPort: null, inFlightMax: 1_000 })
  })

  it("starts the service after the broker, under the broker's name", () => {
    expect(service.depends_on).toEqual({ nats: { condition: "service_healthy" } })
    const broker = new URL(service.environment["NATS_URL"] ?? "")
    const [, port] = /^listen: 0\.0\.0\.0:(\d+)$/m.exec(brokerConfig) ?? []
    expect([broker.protocol, broker.hostname, broker.port]).toEqual(["nats:", "nats", port])
  })

  it("keeps the data of both in named volumes", () => {
    expect(nats.volumes).toEqual(["nats:/data"])
    expect(service.volumes).toEqual(textsOf(finalStage, "VOLUME").map((folder) => `service:${folder}`))
    expect(Object.keys(compose.volumes)).toEqual(["nats", "service"])
    expect(brokerConfig).toMatch(/^ {2}store_dir: \/data$/m)
  })

  it("publishes the service's port to this machine alone, and nothing of the broker", () => {
    expect(service.ports).toEqual([`127.0.0.1:3000:${image["PORT"]}`])
    expect(nats).not.toHaveProperty("ports")
  })

  it("gives the service the time it takes to drain", () => {
    expect(Number(/^(\d+)s$/.exec(service.stop_grace_period)?.[1])).toBeGreaterThan(DRAIN_SECONDS_MAX)
  })

  it("tells the broker to sync before it acknowledges, and to take our largest messages", () => {
    const [config] = nats.configs
    expect(nats.command).toEqual(["nats-server", "--config", config?.target ?? ""])
    expect(Object.keys(compose.configs)).toEqual([config?.source ?? ""])
    expect(brokerConfig).toMatch(/^ {2}sync_interval: always$/m)
    expect(brokerConfig).toMatch(/^max_payload: 8MB$/m)
    // Compose would take it for a variable.
    expect(brokerConfig).not.toContain("$")
    const [, monitor = ""] = /^http: (\S+)$/m.exec(brokerConfig) ?? []
    expect(nats.healthcheck.test).toEqual(["CMD", "wget", "-q", "-O", "/dev/null", `http://${monitor}/healthz`])
  })

  itNeeds(missingNats, "has a configuration that the broker reads", async () => {
    const check = async (config: string) => {
      using folder = temporaryFolder()
      const file = join(folder.path, "jetstream.conf")
      writeFileSync(file, config)
      const run = Bun.spawn([NATS_SERVER ?? "", "-t", "-c", file], { stdout: "ignore", stderr: "pipe" })
      return `${await run.exited} ${await new Response(run.stderr).text()}`
    }
    // Servers before 2.10 do not know it.
    const readable = (await isBefore210()) ? brokerConfig.replace(/^.*sync_interval.*\n/m, "") : brokerConfig
    expect(await check(readable)).toMatch(/^0 /)
    expect(await check(readable.replace("max_payload", "max_paiload"))).toMatch(/^1 .*unknown field/)
  })
})

const isBefore210 = async (): Promise<boolean> => {
  const version = await new Response(Bun.spawn([NATS_SERVER ?? "", "--version"]).stdout).text()
  const [, major = "", minor = ""] = /v(\d+)\.(\d+)/.exec(version) ?? []
  return Number(major) < 2 || (Number(major) === 2 && Number(minor) < 10)
}
