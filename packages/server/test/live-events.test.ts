import { readFileSync } from "node:fs"
import { connect } from "node:net"
import { LISTENERS_MAX } from "@event-service-agent/api/live-events"
import { afterAll, describe, expect, it } from "vitest"
import { callsOf, detailOf, json, type Submission, sideBySide, submit, TERMINAL } from "./client.ts"
import { countingTarget } from "./counting-target.ts"
import { itNeeds } from "./faults/needs.ts"
import { type Live, LiveReader } from "./live-reader.ts"
import { missingNats, NatsServer } from "./nats/nats-server.ts"
import { type Environment, removeLeftovers, Service } from "./process.ts"
import { Random } from "./random.ts"
import { stored } from "./stored.ts"
import { until } from "./until.ts"

afterAll(removeLeftovers)

const WAIT_MS_MAX = 60_000
const LATER = "2999-01-01T00:00:00Z"
/** What Bun allows a connection to be silent, and more. */
const HEARTBEAT_MS_MAX = 30_000
const STOP_MS_MAX = 8_000

const callTo = (url: string, change: Partial<Submission> = {}): Submission => ({
  name: "a call",
  requestSpec: { method: "POST", url, headers: { authorization: "Bearer 123456789" } },
  ...change
})

/** A tenant's domain events as the outbox has them. */
const storedOf = ({ dbPath }: Service, tenant: string): ReadonlyArray<string> =>
  stored<{ readonly seq: number; readonly type: string; readonly service_call_id: string; readonly version: number }>(
    dbPath,
    "SELECT seq, type, service_call_id, version FROM outbox WHERE tenant_id = ? AND type GLOB 'ServiceCall*' ORDER BY seq",
    tenant
  ).map((row) => `${row.seq} ${row.type} ${row.service_call_id} ${row.version}`)

const nameOf = ({ id, event, data }: Live): string => `${id} ${event} ${data.serviceCallId} ${data.version}`

const setTags = (service: Service, tenant: string, id: string, tags: ReadonlyArray<string>) =>
  service.fetch(`${callsOf(tenant)}/${id}/tags`, { ...json({ tags }), method: "PUT" })

const untilEnded = (service: Service, tenant: string, id: string) =>
  until("the call has ended", async () => TERMINAL.has((await detailOf(service, tenant, id)).status), WAIT_MS_MAX)

describe.concurrent("a tenant's live events", () => {
  it("go on for longer than a silent connection lives, whatever the client accepts, with heartbeats meanwhile", async () => {
    await using service = await Service.start()
    await using plain = await LiveReader.open(service, "acme")
    await using asked = await LiveReader.open(service, "acme", { accept: "text/event-stream" })
    for (const reader of [plain, asked]) {
      const beat = () => reader.hasEnded || reader.seen.some(({ event }) => event === "heartbeat")
      await until("the heart beats", beat, HEARTBEAT_MS_MAX)
      expect(reader.hasEnded).toBe(false)
    }
    await submit(service, "acme", callTo("https://example.com/", { dueAt: LATER }))
    for (const { ofCalls } of [plain, asked]) {
      await until("the call is seen", () => plain.ofCalls.length === 2 && asked.ofCalls.length === 2)
      expect(ofCalls.length).toBeLessThanOrEqual(2)
    }
  })

  it("are one for each transition, in order, with what is stored of it: nobody else's, and no other message", async () => {
    await using target = countingTarget(
      ({ path }) => new Response("ok", { status: path.startsWith("/fails") ? 500 : 200 })
    )
    await using service = await Service.start({ EGRESS_ALLOW: target.host })
    await using reader = await LiveReader.open(service, "acme")
    await using stranger = await LiveReader.open(service, "acme-1")
    expect(reader.seen[0]).toMatchObject({ id: 0, event: "ready" })
    for (const tenant of ["acme", "globex"]) {
      const good = await submit(service, tenant, callTo(`${target.url}/ok`, { tags: ["one"] }))
      const bad = await submit(service, tenant, callTo(`${target.url}/fails`))
      const later = await submit(service, tenant, callTo(target.url, { dueAt: LATER }))
      for (const { serviceCallId } of [good, bad]) await untilEnded(service, tenant, serviceCallId)
      await setTags(service, tenant, good.serviceCallId, ["one", "two"])
      const cancel = json({ reason: "enough" })
      await service.fetch(`${callsOf(tenant)}/${later.serviceCallId}/cancel`, cancel)
      if (tenant !== "acme") continue
      const typesOf = (id: string) =>
        reader.ofCalls
          .filter(({ data }) => data.serviceCallId === id)
          .map(({ event }) => event.replace("ServiceCall", ""))
      await until("all is seen", () => reader.ofCalls.length === 12)
      const start = ["Submitted", "Scheduled", "Running"]
      expect(typesOf(good.serviceCallId)).toEqual([...start, "Succeeded", "TagsChanged"])
      expect(typesOf(bad.serviceCallId)).toEqual([...start, "Failed"])
      expect(typesOf(later.serviceCallId)).toEqual(["Submitted", "Scheduled", "Cancelled"])
      const last = reader.ofCalls.at(-1)
      expect(last?.data).toMatchObject({
        type: "ServiceCallCancelled",
        version: 3,
        correlationId: later.correlationId,
        payload: { reason: "enough" }
      })
    }
    // A mark behind all that the other tenant did.
    await submit(service, "acme", callTo(target.url, { name: "the last", dueAt: LATER }))
    await until("the mark is seen", () => reader.ofCalls.length === 14)
    expect(reader.ofCalls.map(nameOf)).toEqual(storedOf(service, "acme"))
    expect(stranger.ofCalls).toEqual([])
    // Neither are there others' events in what was before.
    await using late = await LiveReader.open(service, "globex", { "last-event-id": "0" })
    await until("all of the other one is seen", () => late.ofCalls.length === storedOf(service, "globex").length)
    expect(late.ofCalls.map(nameOf)).toEqual(storedOf(service, "globex"))
    expect(JSON.stringify(reader.seen)).not.toContain("123456789")
  })

  it("reach a reader that is cut off and a service that is killed without a gap and none twice", () =>
    followThroughKills({}))

  itNeeds(missingNats, "reach it in the same way when messages go over a broker", async () => {
    await using nats = await NatsServer.start()
    await followThroughKills({ NATS_URL: nats.url })
  })

  it("begin anew for an id that retention has left behind, that is still to come, or that is none", async () => {
    await using service = await Service.start({ RETENTION_EVENTS: "5s" })
    await submit(service, "acme", callTo("https://example.com/", { dueAt: LATER }))
    const all = await LiveReader.open(service, "acme", { "last-event-id": "0" })
    await until("the call is seen", () => all.ofCalls.length === 2)
    await all.cut()
    await until("the events are gone", () => storedOf(service, "acme").length === 0, WAIT_MS_MAX)
    for (const id of ["0", "1", "999999999999", "-1", "1e1", "x", "99999999999999999999"]) {
      await using reader = await LiveReader.open(service, "acme", { "last-event-id": id })
      expect({ id, first: reader.seen[0]?.event }).toEqual({ id, first: "reset" })
      // It goes on from now.
      await submit(service, "acme", callTo("https://example.com/", { dueAt: LATER }))
      await until("the next call is seen", () => reader.ofCalls.length === 2)
    }
    await using reader = await LiveReader.open(service, "acme", { "last-event-id": all.lastId })
    expect(["ready", "reset"]).toContain(reader.seen[0]?.event)
  })

  it("are held back for a reader that reads nothing, at nobody's cost, and are there when it reads on", async () => {
    await using service = await Service.start()
    const url = `https://example.com/${"x".repeat(7_000)}`
    const flood = async (tenant: string) => {
      await sideBySide(Array(FLOOD_CALLS).keys(), 16, async (n) => {
        await submit(service, tenant, callTo(url, { name: `call ${n}`, dueAt: LATER }))
      })
      return residentBytes(service.pid)
    }
    const before = await flood("other")
    const stalled = await Promise.all(Array.from({ length: STALLED }, () => openSocket(service, "acme")))
    for (const { socket } of stalled) socket.pause()
    await using lively = await LiveReader.open(service, "acme")
    await flood("acme")
    const after = await flood("acme")
    await until("the one that reads has seen all", () => lively.ofCalls.length === 4 * FLOOD_CALLS, WAIT_MS_MAX)
    // Measured: a third of what they have not read. Were all of it kept for each of them, it would be more than that.
    expect(after - before).toBeLessThan((STALLED * 2 * FLOOD_CALLS * url.length * 2) / 3)

    const [first, ...others] = stalled
    if (first === undefined) throw new Error("nobody stalls")
    for (const { socket } of others) socket.destroy()
    first.socket.resume()
    const isThrough = () => first.hasEnded() || idsIn(first.text()).length === 4 * FLOOD_CALLS
    await until("it has read on", isThrough, WAIT_MS_MAX)
    const ids = idsIn(first.text())
    expect(ids.length).toBeGreaterThan(0)
    expect(ids).toEqual(lively.ofCalls.slice(0, ids.length).map(({ id }) => id))
    first.socket.destroy()
  })

  it("have so many readers and no more, which leave their places, and end with the service in seconds", async () => {
    await using service = await Service.start()
    // Without fetch, which has no more than 256 requests under way.
    const open = (tenant: string) => openSocket(service, tenant)
    const readers = await Promise.all(Array.from({ length: LISTENERS_MAX }, (_, n) => open(`tenant-${n % 3}`)))
    const refused = await service.fetch(`${callsOf("acme")}/events`)
    expect(refused.status).toBe(503)
    expect(refused.headers.get("retry-after")).toMatch(/^\d+$/)
    expect(await refused.json()).toMatchObject({ type: "urn:event-service-agent:problem:overloaded" })
    expect((await service.fetch(callsOf("acme"))).status).toBe(200)

    for (const { socket } of readers.splice(0, 8)) socket.destroy()
    for (let place = 0; place < 8; place++) {
      const probe = () => open("tenant-1").catch(() => undefined)
      readers.push(await until("a place is free", probe))
    }
    expect((await service.fetch(`${callsOf("acme")}/events`)).status).toBe(503)

    await submit(service, "tenant-1", callTo("https://example.com/", { dueAt: LATER }))
    const seeing = () => readers.filter(({ text }) => idsIn(text()).length === 2)
    const ofTenant = readers.filter(({ tenant }) => tenant === "tenant-1")
    await until("all readers of the tenant see it", () => seeing().length === ofTenant.length)
    expect(seeing()).toEqual(ofTenant)
    const stoppedAt = performance.now()
    const { exitCode } = await service.kill("SIGTERM")
    expect(exitCode).toBe(0)
    await until("all streams have ended", () => readers.every(({ hasEnded }) => hasEnded()))
    expect(performance.now() - stoppedAt).toBeLessThan(STOP_MS_MAX)
    expect(service.logs.filter(({ message }) => message.includes("cut off"))).toEqual([])
  })
})

const LOAD_CALLS = 240
const KILLS = 2

/** Two tenants submit, readers of both are cut off at random and come back, and the service is killed meanwhile. */
const followThroughKills = async (env: Environment) => {
  const random = new Random(6)
  await using target = countingTarget()
  await using service = await Service.start({ EGRESS_ALLOW: target.host, ...env })
  const seen = new Map<string, Array<Live>>([
    ["acme", []],
    ["globex", []]
  ])
  let isOver = false

  const follow = async (tenant: string, all: Array<Live>, from: LiveReader) => {
    let [last] = from.seen.map(({ id }) => String(id))
    for (let reader = from; ; ) {
      const cutAt = performance.now() + random.between(1, 250)
      await until("the reader is cut off", () => isOver || reader.hasEnded || performance.now() > cutAt)
      await reader.cut()
      all.push(...reader.ofCalls)
      last = reader.lastId === "" ? last : reader.lastId
      expect(reader.seen.map(({ event }) => event)).not.toContain("reset")
      if (isOver && all.length >= storedOf(service, tenant).length) return
      const headers = { "last-event-id": last ?? "" }
      reader = await until(
        "the reader is back",
        () => LiveReader.open(service, tenant, headers).catch(() => undefined),
        WAIT_MS_MAX
      )
    }
  }
  // What happens before they are open, they do not see.
  const open = await Promise.all([...seen.keys()].map((tenant) => LiveReader.open(service, tenant)))
  const following = [...seen].map(([tenant, all], index) => {
    const from = open[index]
    if (from === undefined) throw new Error(`no stream of ${tenant} is open`)
    return follow(tenant, all, from)
  })

  let submitted = 0
  const load = sideBySide(Array(LOAD_CALLS).keys(), 4, async (n) => {
    const tenant = n % 2 === 0 ? "acme" : "globex"
    const dueAt = n % 3 === 0 ? new Date(Date.now() + random.int(1_500)).toISOString() : undefined
    const submission = callTo(target.url, { idempotencyKey: `k${n}`, ...(dueAt === undefined ? {} : { dueAt }) })
    await until(
      "the call is accepted",
      () =>
        service.fetch(callsOf(tenant), json(submission)).then(
          ({ status }) => status < 300,
          () => false
        ),
      WAIT_MS_MAX
    )
    submitted++
  })
  for (let kill = 1; kill <= KILLS; kill++) {
    await until("some calls are accepted", () => submitted > (LOAD_CALLS * kill) / (KILLS + 1), WAIT_MS_MAX)
    await service.kill("SIGKILL")
    await service.restart()
  }
  await load
  for (const tenant of seen.keys()) {
    const open = `${callsOf(tenant)}?status=Submitted&status=Scheduled&status=Running`
    const hasEnded = async () => (await (await service.fetch(open)).json()).items.length === 0
    await until(`all of ${tenant} has ended`, hasEnded, WAIT_MS_MAX)
  }
  isOver = true
  await Promise.all(following)
  for (const [tenant, all] of seen) {
    expect(all.map(nameOf)).toEqual(storedOf(service, tenant))
    expect(all.length).toBeGreaterThan((LOAD_CALLS / 2) * 4 - 1)
  }
}

const FLOOD_CALLS = 800
const STALLED = 40

/** A client that asks for the events over a socket, which it may leave unread. Fails when it is refused. */
const openSocket = async (service: Service, tenant: string) => {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  let text = ""
  let hasEnded = false
  const socket = connect(Number(new URL(service.url).port), "127.0.0.1", () =>
    socket.write(`GET ${callsOf(tenant)}/events HTTP/1.1\r\nHost: localhost\r\n\r\n`)
  )
  socket.on("data", (data) => {
    text += data.toString("latin1")
    if (text.includes("event: ready")) resolve()
    else if (!text.startsWith("HTTP/1.1 200")) reject(new Error(text))
  })
  socket.on("error", () => {})
  socket.on("close", () => {
    hasEnded = true
  })
  await promise
  return { tenant, socket, text: () => text, hasEnded: () => hasEnded }
}

const idsIn = (text: string): ReadonlyArray<number> =>
  [...text.matchAll(/id: (\d+)\nevent: ServiceCall/g)].map(([, id]) => Number(id))

const residentBytes = (pid: number): number =>
  Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) * 1_024
