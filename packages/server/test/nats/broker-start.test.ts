import { appendFileSync, cpSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { subjectsOf } from "@event-service-agent/schemas/nats"
import { AckPolicy, RetentionPolicy } from "@nats-io/jetstream"
import { connect } from "@nats-io/transport-node"
import { afterAll, describe, expect } from "vitest"
import { submit } from "../client.ts"
import { countingTarget } from "../counting-target.ts"
import { itNeeds, works } from "../faults/needs.ts"
import { type Environment, removeLeftovers, runToEnd, Service, temporaryFolder } from "../process.ts"
import { until } from "../until.ts"
import { missingNats, NatsServer } from "./nats-server.ts"
import { withManager } from "./streams.ts"

const TEST_MS_MAX = 120_000
const EXIT_CONFIG = 78
const TENANT = "acme"
const missingOpenssl = works("openssl", "version") ? undefined : "openssl is missing: apt-get install openssl"

afterAll(removeLeftovers)

/** A start that has to be refused, as one with wrong settings. Returns what it says. */
const refusalOf = async (env: Environment): Promise<string> => {
  using folder = temporaryFolder()
  const { exitCode, stderr, stdout } = await runToEnd(folder.path, env)
  expect({ exitCode, stdout }).toMatchObject({ exitCode: EXIT_CONFIG })
  return stderr
}

/** Starts the program and has it perform one call. */
const performs = async (env: Environment, body = ""): Promise<void> => {
  await using target = countingTarget()
  await using service = await Service.start({ ...env, EGRESS_ALLOW: target.host })
  const requestSpec = { method: "POST", url: target.url, body } as const
  const { serviceCallId } = await submit(service, TENANT, { name: "one", requestSpec })
  await until("it is performed", () => target.byKey.get(serviceCallId)?.[0]?.body === body, 30_000)
  expect(target.count).toBe(1)
  expect(await (await service.fetch("/health/ready")).json()).toMatchObject({ status: "ok" })
}

const untilDegraded = (service: Service, why: RegExp) =>
  until(
    `it is degraded because of ${why}`,
    async () => why.test((await (await service.fetch("/health/ready")).json()).detail ?? ""),
    60_000
  )

describe("a start over NATS", () => {
  itNeeds(
    missingNats,
    "is refused when streams or consumers do not fit, and says what it found and what it needs",
    async () => {
      await using nats = await NatsServer.start()
      const settings = (prefix: string) => ({ NATS_URL: nats.url, NATS_PREFIX: prefix })
      await withManager(nats.url, async (manager) => {
        const subjects = [subjectsOf("foreign").work]
        await manager.streams.add({ name: "foreign-work", subjects, retention: RetentionPolicy.Limits })
        const refusal = await refusalOf(settings("foreign"))
        expect(refusal).toContain('stream foreign-work: retention is "limits", it has to be "workqueue"')
        expect(refusal).toContain('stream foreign-work: it belongs to "nobody"')
        expect(refusal).toContain("stream foreign-work: max_age has no limit, it needs one")
        expect(refusal).toContain("NATS_PREFIX")
        // It has not made the other one either.
        expect((await manager.streams.list().next()).map(({ config }) => config.name)).toEqual(["foreign-work"])

        // Each start here has a database and a key of its own.
        await performs(settings("taken"))
        expect(await refusalOf(settings("taken"))).toMatch(
          /stream taken-work: it belongs to "event-service-agent (\w+) \w+", and this is "event-service-agent (?!\1)\w+ \w+"/
        )

        using folder = temporaryFolder()
        const own = { env: settings("own"), how: { folder: folder.path } }
        await using service = await Service.start(own.env, own.how)
        await service.kill("SIGTERM")
        // The same key, as after a restore elsewhere, but another database.
        using copy = temporaryFolder()
        cpSync(join(folder.path, "secret.key"), join(copy.path, "secret.key"))
        const second = await runToEnd(copy.path, own.env)
        expect(second.exitCode).toBe(EXIT_CONFIG)
        expect(second.stderr).toContain("stream own-work: it belongs to")

        await manager.consumers.delete("own-work", "timer")
        const elsewhere = `${subjectsOf("own").workOf("timer").slice(0, -1)}acme.>`
        const timer = {
          durable_name: "timer",
          filter_subject: elsewhere,
          ack_policy: AckPolicy.Explicit,
          max_batch: 10
        }
        await manager.consumers.add("own-work", timer)
        const { exitCode, stderr } = await runToEnd(folder.path, own.env)
        expect(exitCode).toBe(EXIT_CONFIG)
        expect(stderr).toContain("consumer timer of stream own-work: max_batch is 10, it has to be unset")
        expect(stderr).toContain("consumer timer of stream own-work: headers_only is not set, it has to be true")
        expect(stderr).toContain(
          `consumer timer of stream own-work: filter_subject is "${elsewhere}", it has to be "${subjectsOf("own").workOf("timer")}"`
        )
      })
    },
    TEST_MS_MAX
  )

  itNeeds(
    missingNats,
    "needs the right user and password where the broker asks for them",
    async () => {
      await using nats = await NatsServer.start('authorization { user: agent, password: "correct horse" }')
      const wrong = { NATS_URL: nats.url, NATS_USER: "agent", NATS_PASSWORD: "battery staple" }
      for (const env of [{ NATS_URL: nats.url }, wrong]) {
        const refusal = await refusalOf(env)
        expect(refusal).toMatch(/cannot use NATS: it refuses these credentials; .*NATS_USER and NATS_PASSWORD/)
        expect(refusal).not.toContain("battery")
      }
      await performs({ ...wrong, NATS_PASSWORD: "correct horse" })
    },
    TEST_MS_MAX
  )

  itNeeds(
    missingNats,
    "goes on without a broker; one that comes and refuses it is asked again, and so is one that refuses it later",
    async () => {
      await using nats = await NatsServer.start()
      await nats.kill()
      const again = async (password: string) => {
        await nats.kill()
        appendFileSync(join(nats.folder, "nats.conf"), `authorization { user: agent, password: ${password} }\n`)
        await nats.start()
      }
      const env = { NATS_URL: nats.url, NATS_USER: "agent", NATS_PASSWORD: "right" }
      await using service = await Service.start(env)
      await untilDegraded(service, /not reachable/)
      for (const time of ["when it comes", "later"]) {
        await again("wrong")
        await untilDegraded(service, /refuses these credentials/)
        await again("right")
        const isWell = async () => (await (await service.fetch("/health/ready")).json()).status === "ok"
        await until(`it is well again, ${time}`, isWell, 60_000)
      }
    },
    TEST_MS_MAX
  )

  itNeeds(
    missingNats,
    "takes the server that answers",
    async () => {
      await using dead = await NatsServer.start()
      await using nats = await NatsServer.start()
      await dead.kill()
      await performs({ NATS_URL: `${dead.url},${nats.url}` })
    },
    TEST_MS_MAX
  )

  itNeeds(
    missingNats,
    "performs a call whose request is larger than what the broker takes",
    async () => {
      await using nats = await NatsServer.start("max_payload: 65536")
      const connection = await connect({ servers: nats.url })
      expect(connection.info?.max_payload).toBe(65_536)
      await connection.close()
      await performs({ NATS_URL: nats.url }, "x".repeat(200_000))
    },
    TEST_MS_MAX
  )

  itNeeds(
    missingNats ?? missingOpenssl,
    "uses TLS, with a server whose certificate is from the authority that is set",
    async () => {
      using folder = temporaryFolder()
      const openssl = (command: string) => {
        const { exitCode, stderr } = Bun.spawnSync(["openssl", ...command.split(" ")], { cwd: folder.path })
        if (exitCode !== 0) throw new Error(stderr.toString())
      }
      const newKey = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
      for (const name of ["ca", "other"]) {
        openssl(`req -x509 ${newKey} -subj /CN=${name} -keyout ${name}.key -out ${name}.pem`)
      }
      const file = (name: string) => join(folder.path, name)
      writeFileSync(file("san"), "subjectAltName=IP:127.0.0.1")
      openssl(`req ${newKey} -subj /CN=nats -keyout nats.key -out nats.csr`)
      openssl("x509 -req -in nats.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile san -out nats.pem")
      await using nats = await NatsServer.start(
        `tls { cert_file: "${file("nats.pem")}", key_file: "${file("nats.key")}" }`
      )
      const url = nats.url.replace("nats://", "tls://")
      await performs({ NATS_URL: url, NATS_TLS_CA_FILE: file("ca.pem") })
      for (const env of [{ NATS_URL: url, NATS_TLS_CA_FILE: file("other.pem") }, { NATS_URL: nats.url }]) {
        expect(await refusalOf(env)).toMatch(/cannot use NATS: unable to verify .*certificate; .*NATS_TLS/)
      }
      await using plain = await NatsServer.start()
      const noTls = { NATS_URL: plain.url.replace("nats://", "tls://") }
      expect(await refusalOf(noTls)).toMatch(/cannot use NATS: server does not support 'tls'/)
    },
    TEST_MS_MAX
  )
})
