import { existsSync, readdirSync } from "node:fs"
import { join } from "node:path"
import { afterAll, describe, expect, it } from "vitest"
import { adminKeyOf, withKey } from "./access/keyed-service.ts"
import { callsOf, json } from "./client.ts"
import { countingTarget } from "./counting-target.ts"
import { copyContext, environmentOf, isIgnored, readStages, readText, textsOf } from "./dockerfile.ts"
import { removeLeftovers, Service, temporaryFolder } from "./process.ts"

const ROOT = join(import.meta.dirname, "../../..")
const manifest = JSON.parse(readText(ROOT, "package.json"))
const stages = readStages(readText(ROOT, "Dockerfile"))
const [build] = stages
const final = stages.at(-1)
const ignored = readText(ROOT, ".dockerignore")
const environment = environmentOf(final)

const CALL = {
  name: "a",
  dueAt: "2099-01-01T00:00:00Z",
  requestSpec: { method: "GET", url: "https://example.com/" }
}

afterAll(removeLeftovers)

/** The words of an exec form; a shell form would not pass signals on. */
const words = (text: string | undefined): ReadonlyArray<string> => JSON.parse(text?.replace(/^.*?CMD /, "") ?? "")

describe("the image", () => {
  it("is built in one stage and run in another, both on the version of Bun that the project names", () => {
    const version = String(manifest.packageManager).replace("bun@", "")
    expect(stages.map(({ image, name }) => ({ image, name }))).toEqual([
      { image: `oven/bun:${version}`, name: "build" },
      { image: `oven/bun:${version}-slim`, name: undefined }
    ])
    expect(textsOf(build, "COPY")).toEqual([". ."])
    expect(textsOf(build, "RUN")).toEqual(["bun install --frozen-lockfile --production"])
    expect(textsOf(final, "COPY")).toEqual(["--from=build /app ."])
    for (const stage of stages) expect(textsOf(stage, "WORKDIR")).toEqual(["/app"])
  })

  it("runs what `bun run start` runs, with its settings, as the first process", () => {
    const start = String(manifest.scripts.start).replace("bun run setup && ", "")
    const [, key = "", value = "", command = ""] = /^(\w+)=\$\{\w+:-(\w+)\} (.*)$/.exec(start) ?? []
    expect(textsOf(final, "CMD").map(words)).toEqual([command.split(" ")])
    expect(environment[key]).toBe(value)
    expect(textsOf(final, "ENTRYPOINT")).toEqual([])
  })

  it("has no root, and keeps its data in a volume that its user may write to", () => {
    const names = final?.instructions.map(({ name }) => name) ?? []
    expect(textsOf(final, "USER")).toEqual(["bun"])
    expect(textsOf(final, "VOLUME")).toEqual(["/data"])
    expect(environment["DB_PATH"]).toMatch(/^\/data\//)
    expect(textsOf(final, "RUN")).toEqual(["install -d -o bun -g bun /data"])
    // What is done to a folder after it became a volume is lost; what is done after USER, root no longer does.
    expect(names.indexOf("RUN")).toBeLessThan(names.indexOf("USER"))
    expect(names.indexOf("RUN")).toBeLessThan(names.indexOf("VOLUME"))
  })

  it("listens to the outside at the port that it says", () => {
    expect(environment["HOST"]).toBe("0.0.0.0")
    expect(textsOf(final, "EXPOSE")).toEqual([environment["PORT"]])
  })

  it("is built from the sources alone", () => {
    for (const path of ["package.json", "bun.lock", "bunfig.toml", "packages/timer/package.json"]) {
      expect([path, isIgnored(ignored, path)]).toEqual([path, false])
    }
    expect(isIgnored(ignored, "packages/server/src/main.ts")).toBe(false)
    for (const path of [
      ".env",
      ".git/config",
      "data/secret.key",
      "node_modules/effect/package.json",
      "packages/server/node_modules/effect/package.json",
      "packages/server/test/process.ts",
      "packages/server/secret.key",
      "packages/bench/package.json",
      "packages/bench/src/main.ts"
    ]) {
      expect([path, isIgnored(ignored, path)]).toEqual([path, true])
    }
  })

  it("has all that the program needs to start, to do its work, to be found healthy and to stop", async () => {
    using app = temporaryFolder()
    using data = temporaryFolder()
    copyContext(ROOT, ignored, app.path)
    const [, ...install] = textsOf(build, "RUN").flatMap((text) => text.split(" "))
    const installed = Bun.spawnSync([process.execPath, ...install], { cwd: app.path, stderr: "pipe" })
    expect([installed.exitCode, installed.stderr.toString()]).toEqual([0, expect.any(String)])
    const packages = readdirSync(join(app.path, "node_modules/.bun")).join()
    for (const name of ["vitest", "typescript", "biome", "dclint", "bullmq"]) expect(packages).not.toContain(name)
    expect(existsSync(join(app.path, "packages/bench"))).toBe(false)

    const [, ...program] = textsOf(final, "CMD").flatMap(words)
    const command = [process.execPath, ...program.map((word) => join(app.path, word))]
    const env = { ...environment, PORT: "0", DB_PATH: join(data.path, "service.db") }
    await using service = await Service.start(env, { folder: data.path, command })
    const port = new URL(service.url).port
    const submitted = await fetch(
      `http://127.0.0.1:${port}${callsOf("acme")}`,
      json(CALL, withKey(adminKeyOf(service)))
    )
    expect(submitted.status).toBe(202)
    const refused = await fetch(`http://127.0.0.1:${port}${callsOf("acme")}`, json(CALL))
    expect(refused.status).toBe(401)

    const [, ...check] = textsOf(final, "HEALTHCHECK").flatMap(words)
    const healthcheck = (PORT: string) =>
      Bun.spawn([process.execPath, ...check], { env: { PORT }, stdout: "ignore", stderr: "ignore" }).exited
    expect(await healthcheck(port)).toBe(0)
    await using busy = countingTarget(() => new Response("", { status: 503 }))
    expect(await healthcheck(new URL(busy.url).port)).toBe(1)
    expect((await service.kill("SIGTERM")).exitCode).toBe(0)
    expect(await healthcheck(port)).toBe(1)
  })
})
