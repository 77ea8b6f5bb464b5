import { connect } from "node:net"
import { WAIT_SECONDS_MAX, WAITERS_PER_TENANT_MAX } from "@event-service-agent/api/await-end"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { callsOf, type Detail, detailOf, json, type Submission, submit } from "./client.ts"
import { type CountingTarget, countingTarget } from "./counting-target.ts"
import { askWith } from "./inbound/asking.ts"
import { removeLeftovers, Service } from "./process.ts"
import { until } from "./until.ts"

afterAll(removeLeftovers)

const TENANT = "acme"
const LATER = "2999-01-01T00:00:00Z"
const WAIT_MS_MAX = 60_000
/** Longer than Bun keeps a connection on which nothing happens. */
const SILENT_MS = 17_000
const TOO_MANY = 100
const FEW = 50

describe.concurrent("a client that would wait for the outcome", () => {
  let target: CountingTarget
  let service: Service
  const held = Promise.withResolvers<void>()
  beforeAll(async () => {
    target = countingTarget(async ({ path }) => {
      if (path.startsWith("/held")) await held.promise
      if (path.startsWith("/slow")) await Bun.sleep(SILENT_MS)
      return new Response("ok", { status: path.startsWith("/fails") ? 500 : 200 })
    })
    service = await Service.start({ EGRESS_ALLOW: target.host })
  })
  afterAll(async () => {
    await service[Symbol.asyncDispose]()
    await target[Symbol.asyncDispose]()
  })

  const callTo = (path: string, change: Partial<Submission> = {}): Submission => ({
    name: "a call",
    requestSpec: { method: "POST", url: `${target.url}${path}` },
    ...change
  })
  const submitWith = async (prefer: string, submission: Submission, tenant = TENANT) => {
    const startedAt = performance.now()
    const response = await service.fetch(callsOf(tenant), json(submission, { prefer }))
    const answer: Detail = await response.json()
    const { status, headers } = response
    return { status, headers, answer, tookMs: performance.now() - startedAt }
  }

  it("gets it on a connection that is silent for longer than others may be", async () => {
    // Bun spares a request whose body it has read, so there is one without.
    const slow = await submit(service, TENANT, callTo("/slow", { dueAt: LATER, timeoutMs: 60_000 }))
    const path = `${callsOf(TENANT)}/${slow.serviceCallId}`
    await until("it is scheduled", async () => (await detailOf(service, TENANT, slow.serviceCallId)).requestKept)
    const repeated = service
      .fetch(`${path}/resend`, { method: "POST", headers: { prefer: "wait=50" } })
      .then(({ status }) => status, String)
    const dueAt = new Date(Date.now() + SILENT_MS).toISOString()
    const { status, headers, answer, tookMs } = await submitWith("wait=50", callTo("/ok", { dueAt }))
    expect({ status, applied: headers.get("preference-applied") }).toEqual({ status: 200, applied: "wait=50" })
    expect(answer.outcome).toMatchObject({ type: "Succeeded" })
    expect(tookMs).toBeGreaterThan(SILENT_MS - 2_000)
    expect(await repeated).toBe(200)
  })

  it("gets all about the call, however it writes that", async () => {
    const ways: ReadonlyArray<readonly [prefer: string, applied: string]> = [
      ["wait=40", "wait=40"],
      ["WAIT=40", "wait=40"],
      ['Wait="40"', "wait=40"],
      ["respond-async, wait=40", "wait=40"],
      ["wait=40,respond-async", "wait=40"],
      ["handling=lenient; a=b , wait = 40 ; c=d", "wait=40"],
      [`wait=${WAIT_SECONDS_MAX}`, `wait=${WAIT_SECONDS_MAX}`],
      ["wait=61", `wait=${WAIT_SECONDS_MAX}`],
      ["wait=999999999", `wait=${WAIT_SECONDS_MAX}`]
    ]
    for (const [prefer, applied] of ways) {
      const { status, headers, answer } = await submitWith(prefer, callTo("/ok"))
      expect({ prefer, status, applied: headers.get("preference-applied") }).toEqual({ prefer, status: 200, applied })
      expect(headers.get("location")).toBe(`${callsOf(TENANT)}/${answer.serviceCallId}`)
      expect(headers.get("idempotency-replayed")).toBeNull()
      expect(answer).toEqual(await detailOf(service, TENANT, answer.serviceCallId))
      expect(answer.status).toBe("Succeeded")
    }
    const twice = await askWith(service, {
      method: "POST",
      target: callsOf(TENANT),
      headers: [
        ["content-type", "application/json"],
        ["prefer", "respond-async"],
        ["prefer", "wait=40"]
      ],
      body: JSON.stringify(callTo("/ok"))
    })
    expect({ status: twice.status, applied: twice.headers.get("preference-applied") }).toEqual({
      status: 200,
      applied: "wait=40"
    })
  })

  it("gets failures in the same way", async () => {
    const closed = countingTarget()
    await closed[Symbol.asyncDispose]()
    const failing = await submitWith("wait=40", callTo("/fails"))
    expect({ status: failing.status, outcome: failing.answer.outcome }).toMatchObject({
      status: 200,
      outcome: { type: "Failed", error: { kind: "HttpStatus", status: 500 } }
    })
    const slow = await submitWith("wait=40", callTo("/held", { timeoutMs: 50 }))
    expect({ status: slow.status, outcome: slow.answer.outcome }).toMatchObject({
      status: 200,
      outcome: { type: "Failed", error: { kind: "Timeout" } }
    })
    expect(slow.headers.get("preference-applied")).toBe("wait=40")
  })

  it("is answered as anybody else when nothing says how long it waits", async () => {
    const others = ["", "wait", "wait=", "wait=x", "wait=-1", "wait=1.5", "wait=5s", "await=5", "wait 5", "x=wait=5"]
    for (const prefer of [...others, "respond-async", "wait=1e1", "wait=0"]) {
      const { status, headers, answer } = await submitWith(prefer, callTo("/held"), "quick")
      expect({ prefer, status, applied: headers.get("preference-applied") }).toEqual({
        prefer,
        status: 202,
        applied: null
      })
      expect(Object.keys(answer).sort()).toEqual(["links", "serviceCallId", "status"])
    }
  })

  it("is answered 202 once its time is over, for a call that is due later", async () => {
    const { status, headers, answer, tookMs } = await submitWith("wait=1", callTo("/ok", { dueAt: LATER }))
    expect({ status, applied: headers.get("preference-applied") }).toEqual({ status: 202, applied: null })
    expect(headers.get("location")).toBe(`${callsOf(TENANT)}/${answer.serviceCallId}`)
    expect(tookMs).toBeGreaterThan(990)
    expect((await detailOf(service, TENANT, answer.serviceCallId)).status).toBe("Scheduled")
  })

  it("gets it for what was accepted before, too", async () => {
    const first = callTo("/ok", { idempotencyKey: "ends" })
    await submit(service, TENANT, first)
    const replay = await submitWith("wait=40", first)
    expect(Object.fromEntries(replay.headers)).toMatchObject({
      "preference-applied": "wait=40",
      "idempotency-replayed": "true"
    })
    expect(replay.answer).toMatchObject({ status: "Succeeded", outcome: { type: "Succeeded" } })

    const later = callTo("/ok", { idempotencyKey: "later", dueAt: LATER })
    await submit(service, TENANT, later)
    const { status, headers, answer } = await submitWith("wait=1", later)
    expect({
      status,
      applied: headers.get("preference-applied"),
      replayed: headers.get("idempotency-replayed")
    }).toEqual({ status: 200, applied: null, replayed: "true" })
    expect(answer.status).toBe("Scheduled")

    const cancelled = submitWith("wait=40", later)
    await service.fetch(`${callsOf(TENANT)}/${answer.serviceCallId}/cancel`, { method: "POST" })
    expect((await cancelled).answer).toMatchObject({ status: "Cancelled", outcome: { type: "Cancelled" } })
  })

  it("leaves its place when it goes, is one of so many of its tenant and no more, and stands in nobody's way", async () => {
    const held = Promise.withResolvers<void>()
    await using target = countingTarget(async ({ path }) => {
      if (path === "/held") await held.promise
      return new Response("ok")
    })
    await using service = await Service.start({ EGRESS_ALLOW: target.host })
    const callTo = (path: string) =>
      ({ name: "a call", requestSpec: { method: "POST", url: target.url + path } }) as const
    const submission = { ...callTo("/held"), idempotencyKey: "shared", timeoutMs: 100_000 }
    await submit(service, TENANT, submission)
    const opened: Array<ReturnType<typeof post>> = []
    const unanswered = () => opened.filter(({ text }) => text() === "")
    // Over sockets, since fetch has no more than 256 requests under way; a few at a time, since the gate has 1,024.
    const fill = () =>
      until(
        "all places are taken, and further ones have an answer",
        async () => {
          const missing = WAITERS_PER_TENANT_MAX - unanswered().length
          const surplus = TOO_MANY - (opened.length - unanswered().length)
          if (missing === 0 && surplus <= 0) return true
          const few = Math.min(FEW, Math.max(missing, surplus))
          for (let one = 0; one < few; one++) opened.push(post(service, TENANT, submission))
          await service.fetch("/health/live")
          return false
        },
        WAIT_MS_MAX
      )
    await fill()
    for (const { close } of opened.splice(0)) close()
    await fill()
    const others = await Promise.all(Array.from({ length: 200 }, () => service.fetch(callsOf("other"))))
    expect(others.filter(({ status }) => status !== 200)).toEqual([])
    const waited = await service.fetch(callsOf("other"), json(callTo("/ok"), { prefer: "wait=60" }))
    expect(waited.headers.get("preference-applied")).toBe("wait=60")

    const waiting = unanswered()
    expect(waiting.length).toBeGreaterThan(WAITERS_PER_TENANT_MAX - FEW)
    expect(waiting.length).toBeLessThanOrEqual(WAITERS_PER_TENANT_MAX)
    held.resolve()
    await until("all have their answer", () => unanswered().length === 0, WAIT_MS_MAX)
    const isWaited = (text: string) => text.toLowerCase().includes("preference-applied: wait=60")
    expect(opened.filter(({ text }) => isWaited(text()))).toEqual(waiting)
    expect(opened.filter(({ text }) => !text().startsWith("HTTP/1.1 200"))).toEqual([])
    for (const { close } of opened) close()
  })
})

/** Submits with `Prefer: wait=60` over a connection of its own. */
const post = (service: Service, tenant: string, submission: Submission) => {
  const body = JSON.stringify(submission)
  const head = [
    `POST ${callsOf(tenant)} HTTP/1.1`,
    "Host: localhost",
    "Prefer: wait=60",
    "Content-Type: application/json",
    `Content-Length: ${Buffer.byteLength(body)}`
  ]
  let text = ""
  const socket = connect(Number(new URL(service.url).port), "127.0.0.1", () =>
    socket.write(`${head.join("\r\n")}\r\n\r\n${body}`)
  )
  socket.on("data", (data) => {
    text += data.toString("latin1")
  })
  socket.on("error", () => {})
  return { text: () => text, close: () => socket.destroy() }
}
