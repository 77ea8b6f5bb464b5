import { Database } from "bun:sqlite"
import { chmodSync, cpSync, existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, describe, expect, it } from "vitest"
import { callsOf, countOf, detailOf, json, listAll, type Submission, submit, TERMINAL } from "./client.ts"
import { type CountingTarget, countingTarget } from "./counting-target.ts"
import { freePort } from "./free-port.ts"
import { fatalMessageOf, removeLeftovers, runToEnd, Service, temporaryFolder } from "./process.ts"
import { damageOf, rowCounts, stored } from "./stored.ts"
import { until } from "./until.ts"

const TENANT = "acme"
const EXIT_CONFIG = 78
/** The promise for whoever stops the service. */
const STOP_MS_MAX = 30_000
const CLIENTS = 16
const FAR = "2999-01-01T00:00:00Z"

afterAll(removeLeftovers)

describe("a start that is refused", () => {
  it("names all wrong settings at once, repeats none of their values, and writes nothing", async () => {
    using folder = temporaryFolder()
    const wrong = {
      HOST: "c4nary host",
      ALLOWED_HOSTS: "a.example, c4nary.example:3000",
      PORT: "c4nary",
      ECHO_PORT: "99999",
      EGRESS_ALLOW: "10.0.0.0/8, c4nary host, 169.254.169.254",
      LOG_FORMAT: "c4nary",
      LOG_LEVEL: "c4nary",
      IN_FLIGHT_MAX: "0",
      IN_FLIGHT_PER_TENANT_MAX: "-7",
      NATS_URL: "nats://user:c4nary@broker:4222"
    }
    const refused = await runToEnd(folder.path, wrong)
    const { exitCode, stdout, stderr } = refused
    expect(exitCode).toBe(EXIT_CONFIG)
    for (const key of Object.keys(wrong)) expect(fatalMessageOf(refused)).toContain(`\n  ${key} is `)
    expect(stderr).toContain("Entry 2")
    expect(stderr).toContain("Entry 3")
    expect(fatalMessageOf(refused).split("\n")).toHaveLength(1 + Object.keys(wrong).length)
    const shown = await runToEnd(folder.path, { ...wrong, LOG_FORMAT: "pretty" })
    expect(shown.stderr).toContain("The service cannot start with these settings:\n  HOST is wrong")
    expect(stdout + stderr).not.toMatch(/c4nary|99999|169\.254/)
    expect(readdirSync(folder.path)).toEqual([])
  })

  it("says what is wrong with the settings of NATS, and repeats none of them", async () => {
    using folder = temporaryFolder()
    const withPassword = { NATS_URL: "nats://me:c4nary@127.0.0.1:4222", NATS_PREFIX: "a.b", NATS_REPLICAS: "9" }
    const first = await runToEnd(folder.path, withPassword)
    expect(first.exitCode).toBe(EXIT_CONFIG)
    for (const key of Object.keys(withPassword)) expect(fatalMessageOf(first)).toContain(`\n  ${key} is wrong`)
    expect(first.stdout + first.stderr).not.toContain("c4nary")
    const { exitCode, stderr } = await runToEnd(folder.path, { EXECUTE_HERE: "off" })
    expect(exitCode).toBe(EXIT_CONFIG)
    expect(stderr).toContain("EXECUTE_HERE is wrong: executors elsewhere are reached over NATS")
    const held = await runToEnd(folder.path, { SENDING: "off", NATS_URL: "nats://127.0.0.1:4222" })
    expect(held.exitCode).toBe(EXIT_CONFIG)
    expect(held.stderr).toContain("SENDING is wrong: off is for a database that nobody else works with")
    expect(readdirSync(folder.path)).toEqual([])
  })

  it("is one line of the log, whatever is in it, and for people what they can see", async () => {
    using folder = temporaryFolder()
    const name = "a\u001b[31m\nb.db"
    writeFileSync(join(folder.path, name), "no database")
    const dbPath = join(folder.path, name)
    for (const format of ["json", "logfmt", "pretty"]) {
      const refused = await runToEnd(folder.path, { DB_PATH: dbPath, LOG_FORMAT: format })
      expect(refused.stderr.trimEnd()).not.toMatch(/[^\P{Cc}\n]/u)
      if (format !== "pretty") expect(refused.stderr.trimEnd().split("\n")).toHaveLength(1)
      if (format === "json")
        expect(fatalMessageOf(refused)).toMatch(/^FATAL cannot use the database .*: it is no database/s)
      if (format === "logfmt") expect(refused.stderr).toMatch(/level=FATAL.* message="cannot use the database /)
    }
  })

  it("leaves the instance that has the database unharmed", async () => {
    await using target = countingTarget()
    await using service = await Service.start({ EGRESS_ALLOW: target.host })
    const second = await runToEnd(service.folder)
    expect(second.exitCode).toBe(1)
    expect(second.stderr).toContain(`cannot use the database ${service.dbPath}: another process is using it`)
    const { serviceCallId } = await submit(service, TENANT, call(target.url))
    await ended(service, serviceCallId)
    expect(target.count).toBe(1)
  })

  it("leaves the database of another program as it is", async () => {
    using folder = temporaryFolder()
    const path = join(folder.path, "service.db")
    using database = new Database(path)
    database.run("CREATE TABLE recipes (name TEXT); INSERT INTO recipes VALUES ('soup')")
    database.close()
    writeKey(folder.path)
    await expectRefused(folder.path, "it is a database of another program; choose another DB_PATH")
  })

  it("leaves a file that is no database as it is", async () => {
    using folder = temporaryFolder()
    writeFileSync(join(folder.path, "service.db"), "dear diary, ".repeat(1_000))
    writeKey(folder.path)
    await expectRefused(folder.path, "it is no database")
  })

  it("leaves a database with a newer schema as it is", async () => {
    await using service = await Service.start()
    await service.kill("SIGTERM")
    const database = new Database(service.dbPath)
    database.run("PRAGMA user_version = 999")
    database.close()
    await expectRefused(service.folder, /its schema is version 999, this program knows \d+; start the newer program/)
  })

  it("leaves a damaged database as it is", async () => {
    await using service = await Service.start()
    for (const _ of Array(50)) await submit(service, TENANT, { ...call("https://example.com/"), dueAt: FAR })
    await service.kill("SIGTERM")
    const bytes = readFileSync(service.dbPath)
    // The first page holds the schema and stays; what follows is overwritten in part.
    for (let at = 4_096; at < bytes.byteLength; at += 4_096) bytes.fill(0xff, at, at + 64)
    writeFileSync(service.dbPath, bytes)
    await expectRefused(service.folder, /damaged .*; restore a backup/)
  })

  it("does not begin an empty database where there was one, and goes on once that is back", async () => {
    await using service = await Service.start()
    const { serviceCallId } = await submit(service, TENANT, { ...call("https://example.com/"), dueAt: FAR })
    await service.kill("SIGKILL")
    using backup = temporaryFolder()
    cpSync(service.folder, backup.path, { recursive: true })

    const reason = "it is missing, but there was one: restore a backup, or mount its volume"
    rmSync(service.dbPath)
    await expectRefused(service.folder, reason)
    rmSync(`${service.dbPath}-wal`)
    await expectRefused(service.folder, reason)
    for (const suffix of ["", "-wal"]) cpSync(join(backup.path, `service.db${suffix}`), `${service.dbPath}${suffix}`)
    await service.restart()
    expect((await detailOf(service, TENANT, serviceCallId)).status).toBe("Scheduled")
  })

  it("asks for the secret key that a database was sealed with", async () => {
    await using service = await Service.start()
    const keyFile = join(service.folder, "secret.key")
    expect(statSync(keyFile).mode & 0o777).toBe(0o600)
    await service.kill("SIGTERM")

    chmodSync(keyFile, 0o644)
    await expectRefused(service.folder, "others can read it; run chmod 600 on it")
    chmodSync(keyFile, 0o600)
    writeFileSync(keyFile, "c4nary")
    const { stderr } = await expectRefused(service.folder, "it has to hold 64 hexadecimal digits")
    expect(stderr).not.toContain("c4nary")
    rmSync(keyFile)
    await expectRefused(service.folder, "it is missing, and the requests in")
    expect(existsSync(keyFile)).toBe(false)
  })

  it("refuses a key that did not seal the requests in the database", async () => {
    await using service = await Service.start()
    await submit(service, TENANT, { ...call("https://example.com/"), dueAt: FAR })
    await service.kill("SIGTERM")
    writeFileSync(join(service.folder, "secret.key"), `${"ab".repeat(32)}\n`)
    await expectRefused(service.folder, "another key sealed the requests in the database")
  })

  it("names the port that another program has, and what to set", async () => {
    await using other = countingTarget()
    using folder = temporaryFolder()
    const { exitCode, stderr } = await runToEnd(folder.path, { PORT: portOf(other) })
    expect(exitCode).toBe(1)
    expect(stderr).toContain(`Port ${portOf(other)} of 127.0.0.1 is taken by another program`)
    expect(stderr).toContain("choose another PORT")
    expect(stderr.trim().split("\n")).toHaveLength(1)
  })
})

describe("a service that is told to stop", () => {
  it("finishes and records what is under way, however often it is told, and keeps the rest", async () => {
    const [inFlight, armed] = [30, 10]
    const held = Promise.withResolvers<void>()
    await using target = countingTarget(async () => {
      await held.promise
      return new Response("ok")
    })
    await using service = await Service.start({ EGRESS_ALLOW: target.host })
    for (const _ of Array(armed)) await submit(service, TENANT, { ...call(target.url), dueAt: FAR })
    for (const _ of Array(inFlight)) await submit(service, TENANT, call(target.url))
    await until("all are under way", () => target.count === inFlight)

    service.signal("SIGTERM")
    service.signal("SIGTERM")
    await until("it is draining", async () => (await service.fetch("/health/ready")).status === 503)
    service.signal("SIGINT")
    held.resolve()
    const { exitCode, stderr } = await service.ended()
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" })
    expect(damageOf(service.dbPath)).toEqual([])
    const ended = "SELECT count(*) AS calls FROM service_calls WHERE status = 'Succeeded' AND sealed IS NULL"
    expect(stored(service.dbPath, ended)).toEqual([{ calls: inFlight }])

    await service.restart()
    expect(service.readyLine?.annotations).toMatchObject({ armedTimers: armed, dueCalls: 0 })
    await until("all have ended", async () => (await countOf(service, TENANT, "Succeeded")) === inFlight)
    const states = (await listAll(service, TENANT)).map(({ status }) => status).sort()
    expect(states).toEqual([...Array(armed).fill("Scheduled"), ...Array(inFlight).fill("Succeeded")])
    expect(target.count).toBe(inFlight)
  })

  it("tells who asks, lets them read, and takes nothing new, until all is done", async () => {
    const held = Promise.withResolvers<void>()
    await using target = countingTarget(async () => {
      await held.promise
      return new Response("ok")
    })
    await using service = await Service.start({ EGRESS_ALLOW: target.host })
    const { serviceCallId } = await submit(service, TENANT, { ...call(target.url), tags: ["a"] })
    const waiting = service.fetch(callsOf(TENANT), {
      ...json(call(target.url)),
      headers: { "content-type": "application/json", prefer: "wait=20" }
    })
    const laterWaiting = service.fetch(callsOf(TENANT), {
      ...json({ ...call(target.url), dueAt: new Date(Date.now() + 40_000).toISOString() }),
      headers: { "content-type": "application/json", prefer: "wait=30" }
    })
    const { body: events = null } = await service.fetch(`${callsOf(TENANT)}/events`)
    await until("both are under way", () => target.count === 2)
    await until("the later one is accepted", async () => (await listAll(service, TENANT)).length === 3)

    service.signal("SIGTERM")
    await until("it is draining", async () => (await service.fetch("/health/ready")).status === 503)
    const ready = await (await service.fetch("/health/ready")).json()
    expect(ready).toMatchObject({ title: "The agent is not ready", checks: { calls: "draining" } })
    expect((await service.fetch("/health/live")).status).toBe(200)
    expect((await service.fetch("/metrics")).status).toBe(200)
    expect((await detailOf(service, TENANT, serviceCallId)).status).toBe("Running")
    await new Response(events).text()
    const writes = ["", `/${serviceCallId}/cancel`].map((path) => service.fetch(callsOf(TENANT) + path, json({})))
    const tags = service.fetch(`${callsOf(TENANT)}/${serviceCallId}/tags`, { ...json({ tags: [] }), method: "PUT" })
    for (const refused of await Promise.all([...writes, tags])) {
      expect(refused.status).toBe(503)
      expect(refused.headers.get("retry-after")).toBe("1")
      expect(refused.headers.get("connection")).toBe("close")
      expect((await refused.json()).type).toBe("urn:event-service-agent:problem:draining")
    }
    expect((await service.fetch(`${callsOf(TENANT)}/events`)).status).toBe(503)
    // Who waits for a call that will not run any more hears which one it is.
    const later = await laterWaiting
    expect({ status: later.status, call: await later.json() }).toMatchObject({
      status: 202,
      call: { status: "Scheduled", serviceCallId: expect.any(String) }
    })
    held.resolve()
    // Who has waited for the outcome gets it.
    const waited = await waiting
    expect({ status: waited.status, call: await waited.json() }).toMatchObject({
      status: 200,
      call: { status: "Succeeded" }
    })
    expect((await service.ended()).exitCode).toBe(0)
    expect(service.logs.at(-1)?.message).toBe("stopped: what has ended is recorded")
    expect(target.count).toBe(2)
  })

  it("under load keeps every call that it acknowledged, and leaves no outcome unknown", async () => {
    await using target = countingTarget(async () => {
      await Bun.sleep(20)
      return new Response("ok")
    })
    const caps = { IN_FLIGHT_MAX: "50", IN_FLIGHT_PER_TENANT_MAX: "50" }
    await using service = await Service.start({ EGRESS_ALLOW: target.host, ...caps })
    const acknowledged: Array<string> = []
    const submitUntilRefused = async (): Promise<void> => {
      for (;;) {
        const answer = await service.fetch(callsOf(TENANT), json(call(target.url))).catch(() => undefined)
        if (answer === undefined || answer.status === 503) return
        expect(answer.status).toBe(202)
        acknowledged.push((await answer.json()).serviceCallId)
      }
    }
    const submitting = Promise.all(Array.from({ length: CLIENTS }, submitUntilRefused))
    await until("there is load", () => target.count >= 200)
    const startedAt = performance.now()
    const { exitCode } = await service.kill("SIGTERM")
    expect(exitCode).toBe(0)
    expect(performance.now() - startedAt).toBeLessThan(STOP_MS_MAX)
    await submitting

    await service.restart()
    const isSettled = async () => {
      const open = await service.fetch(`${callsOf(TENANT)}?status=Submitted&status=Scheduled&status=Running&limit=1`)
      return (await open.json()).items.length === 0
    }
    await until("all have ended", isSettled, 30_000)
    expect(await countOf(service, TENANT, "Succeeded")).toBe(acknowledged.length)
    const calls = await listAll(service, TENANT)
    expect(calls.map((one) => one.serviceCallId).sort()).toEqual(acknowledged.sort())
    expect(target.count).toBe(acknowledged.length)
    expect(target.byKey.size).toBe(acknowledged.length)
  })
})

describe("a service for others to reach", () => {
  it("answers under its own address and the names that are allowed, and warns of what may not be meant", async () => {
    await using service = await Service.start({
      HOST: "0.0.0.0",
      AUTH: "off",
      ALLOWED_HOSTS: "Calls.Example.com, fd00::1",
      RETENTION_FINISHED: "29d"
    })
    const warnings = service.logs.filter(({ level }) => level === "WARN").map(({ message }) => message)
    expect(warnings).toEqual([
      expect.stringContaining("AUTH is off"),
      expect.stringContaining("RETENTION_FINISHED is less than 30d")
    ])
    const { port } = new URL(service.url)
    const statusFor = async (host: string) =>
      (await fetch(`http://127.0.0.1:${port}/health/live`, { headers: { host } })).status
    // Everywhere is any address: only names can be made to lead here.
    const addresses = [`0.0.0.0:${port}`, "203.0.113.5:3000", "[fd00::2]"]
    for (const host of ["calls.example.com", "[fd00::1]:80", "localhost", ...addresses]) {
      expect({ host, status: await statusFor(host) }).toEqual({ host, status: 200 })
    }
    for (const host of ["example.com", "203.0.113.5.example.com", "a.calls.example.com"]) {
      expect({ host, status: await statusFor(host) }).toEqual({ host, status: 421 })
    }
  })
})

describe("the echo target", () => {
  it("is a target that may be called, and only left out when its port is taken", async () => {
    await using other = countingTarget()
    await using service = await Service.start({ ECHO_PORT: portOf(other) })
    expect(service.logs.filter(({ level }) => level === "WARN").map(({ message }) => message)).toEqual([
      `no echo target: cannot listen on port ${portOf(other)}. Set ECHO_PORT to another one, or to off`
    ])
    const refused = await service.fetch(callsOf(TENANT), json(call(other.url)))
    expect(refused.status).toBe(422)

    const echoPort = String(freePort())
    await using withEcho = await Service.start({ ECHO_PORT: echoPort })
    const egress = `public addresses only, exceptions: the echo target on port ${echoPort}`
    expect(withEcho.readyLine?.annotations).toMatchObject({ egress })
    const { serviceCallId } = await submit(withEcho, TENANT, call(`http://127.0.0.1:${echoPort}/status/503`))
    const { outcome } = await ended(withEcho, serviceCallId)
    expect(outcome).toMatchObject({ type: "Failed", error: { kind: "HttpStatus", status: 503 } })
  })
})

describe("a service that starts again", () => {
  it("makes the calls that became due while nothing ran, once, and says how late", async () => {
    await using target = countingTarget()
    await using service = await Service.start({ EGRESS_ALLOW: target.host })
    const dueAt = Date.now() + 3_000
    const overdue: Array<string> = []
    for (const _ of Array(5)) {
      const soon = { ...call(target.url), dueAt: new Date(dueAt).toISOString() }
      overdue.push((await submit(service, TENANT, soon)).serviceCallId)
    }
    await submit(service, TENANT, { ...call(target.url), dueAt: FAR })
    await until("all timers are armed", () => rowCounts(service.dbPath)["timer_schedules"] === 6)
    await service.kill("SIGKILL")
    expect(target.count).toBe(0)
    await until("the due time has passed", () => Date.now() > dueAt)

    await service.restart()
    const startedAt = Date.now()
    for (const id of overdue) {
      const detail = await ended(service, id)
      expect(detail.status).toBe("Succeeded")
      expect(detail.latenessMs).toBeGreaterThan(0)
      expect(target.byKey.get(id)).toHaveLength(1)
    }
    expect(Date.now() - startedAt).toBeLessThan(3_000)
    expect(target.count).toBe(5)
    expect(await countOf(service, TENANT, "Scheduled")).toBe(1)
  })
})

const portOf = (target: CountingTarget): string => new URL(target.url).port

const call = (url: string): Submission => ({ name: "a call", requestSpec: { method: "POST", url } })

const ended = (service: Service, serviceCallId: string) =>
  until("the call has ended", async () => {
    const detail = await detailOf(service, TENANT, serviceCallId)
    return TERMINAL.has(detail.status) && detail
  })

/** Expects a start on this folder to fail for the reason, in one line, and to leave the files in it as they were. */
const expectRefused = async (folder: string, reason: string | RegExp) => {
  const before = filesIn(folder)
  const refused = await runToEnd(folder)
  expect(refused.exitCode).toBe(1)
  expect(refused.stderr).toMatch(reason)
  expect(refused.stderr.trim().split("\n")).toHaveLength(1)
  expect(filesIn(folder)).toEqual(before)
  return refused
}

/** Without the lock and the index of the log: these are made anew by each start. */
const filesIn = (folder: string) =>
  readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isFile() && !/\.lock|-shm$/.test(entry.name))
    .map(({ name }) => ({ name, hash: Bun.hash(readFileSync(join(folder, name))) }))
    .sort((a, b) => (a.name < b.name ? -1 : 1))

const writeKey = (folder: string): void =>
  writeFileSync(join(folder, "secret.key"), `${"00".repeat(32)}\n`, { mode: 0o600 })
