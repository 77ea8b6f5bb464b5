import { existsSync, readFileSync } from "node:fs"
import { afterAll, describe, expect, it } from "vitest"
import { callsOf, type Detail, detailOf, json, listAll, type Submission, submit, TERMINAL } from "./client.ts"
import { countingTarget } from "./counting-target.ts"
import { removeLeftovers, Service } from "./process.ts"
import { rowCounts, stored, TABLES } from "./stored.ts"
import { until } from "./until.ts"

const TENANT = "acme"
/** Enough to look at what is stored of a call before it is due. */
const DUE_IN_MS = 2_000

interface OutboxRow {
  readonly message_id: string
  readonly type: string
  readonly version: number
  readonly correlation_id: string
  readonly causation_id: string | null
  readonly payload: string
}

afterAll(removeLeftovers)

describe("events", () => {
  it("of a call due now are one for each transition, in one chain from the submission to the end", async () => {
    await using target = countingTarget()
    await using service = await Service.start({ EGRESS_ALLOW: target.host, LOG_LEVEL: "debug" })
    const { serviceCallId, correlationId } = await submit(service, TENANT, call(target.url))
    await end(service, serviceCallId)
    expect(await sequenceOf(service, serviceCallId, correlationId)).toEqual([
      "ServiceCallSubmitted 1, from SubmitServiceCall",
      "ServiceCallScheduled 2, from SubmitServiceCall",
      "ServiceCallRunning 3, from SubmitServiceCall",
      "ExecutionStarted 1, from StartExecution",
      "ExecutionSucceeded 2, from StartExecution",
      "ServiceCallSucceeded 4, from ExecutionSucceeded"
    ])
  })

  it("of a call due later start a new chain at the due time, with the same correlation id", async () => {
    await using target = countingTarget()
    await using service = await Service.start({ EGRESS_ALLOW: target.host, LOG_LEVEL: "debug" })
    const dueAt = new Date(Date.now() + DUE_IN_MS).toISOString()
    const { serviceCallId, correlationId } = await submit(service, TENANT, { ...call(target.url), dueAt })
    await end(service, serviceCallId)
    expect(await sequenceOf(service, serviceCallId, correlationId)).toEqual([
      "ServiceCallSubmitted 1, from SubmitServiceCall",
      "ServiceCallScheduled 2, from SubmitServiceCall",
      "DueTimeReached 2, from nothing",
      "ServiceCallRunning 3, from DueTimeReached",
      "ExecutionStarted 1, from StartExecution",
      "ExecutionSucceeded 2, from StartExecution",
      "ServiceCallSucceeded 4, from ExecutionSucceeded"
    ])
    const [reached] = payloadsOf(service, serviceCallId, "DueTimeReached")
    expect(reached?.["dueAt"]).toBe(dueAt)
    expect(Date.parse(String(reached?.["reachedAt"]))).toBeGreaterThanOrEqual(Date.parse(dueAt))
  })

  it("tell how a failed and a cancelled call ended", async () => {
    await using target = countingTarget(() => new Response("no", { status: 500 }))
    await using service = await Service.start({ EGRESS_ALLOW: target.host, LOG_LEVEL: "debug" })
    const failed = await submit(service, TENANT, call(target.url))
    await end(service, failed.serviceCallId)
    expect((await sequenceOf(service, failed.serviceCallId, failed.correlationId)).slice(-2)).toEqual([
      "ExecutionFailed 2, from StartExecution",
      "ServiceCallFailed 4, from ExecutionFailed"
    ])

    const later = await submit(service, TENANT, { ...call(target.url), dueAt: "2999-01-01T00:00:00Z" })
    const answer = await service.fetch(later.links.cancel, json({ reason: "not needed" }))
    expect(answer.status).toBe(200)
    const again = await service.fetch(later.links.cancel, { method: "POST" })
    expect(again.status).toBe(200)
    expect((await end(service, later.serviceCallId)).outcome).toEqual({ type: "Cancelled", reason: "not needed" })
    expect(await sequenceOf(service, later.serviceCallId, later.correlationId)).toEqual([
      "ServiceCallSubmitted 1, from SubmitServiceCall",
      "ServiceCallScheduled 2, from SubmitServiceCall",
      "ServiceCallCancelled 3, from CancelServiceCall"
    ])
    await until("the timer is gone", () => rowCounts(service.dbPath)["timer_schedules"] === 0)
  })
})

describe("the sealed request", () => {
  it("is stored only where somebody will need it, and erased when the call ends, unless it is to be kept", async () => {
    const held = Promise.withResolvers<void>()
    await using target = countingTarget(async () => {
      await held.promise
      return new Response("ok")
    })
    await using service = await Service.start({ EGRESS_ALLOW: target.host })
    const dueAt = new Date(Date.now() + DUE_IN_MS).toISOString()
    const calls = {
      now: await submit(service, TENANT, call(target.url)),
      later: await submit(service, TENANT, { ...call(target.url), dueAt }),
      keptNow: await submit(service, TENANT, { ...call(target.url), keepRequest: true }),
      kept: await submit(service, TENANT, { ...call(target.url), dueAt, keepRequest: true })
    }
    const resent = await submit(service, TENANT, {
      ...call(target.url),
      onUnknown: "resend",
      targetIsIdempotent: true
    })
    const others = [calls.later, calls.keptNow, calls.kept]
    for (const { serviceCallId } of others) expect(sealedIn(service, serviceCallId)).toEqual(["service_calls"])
    await until("all calls are under way", () => target.count === 5)
    expect(sealedIn(service, calls.now.serviceCallId)).toEqual([])
    expect(sealedIn(service, resent.serviceCallId)).toEqual(["execution_attempts"])
    for (const { serviceCallId } of others) expect(sealedIn(service, serviceCallId)).toEqual(["service_calls"])

    held.resolve()
    for (const { serviceCallId } of [...Object.values(calls), resent]) await end(service, serviceCallId)
    for (const { serviceCallId } of [calls.now, calls.later, resent]) {
      expect(sealedIn(service, serviceCallId)).toEqual([])
    }
    for (const { serviceCallId } of [calls.keptNow, calls.kept]) {
      expect(sealedIn(service, serviceCallId)).toEqual(["service_calls"])
    }
  })

  it("never shows a secret: not in the database, not in the log, not in an answer", async () => {
    const canary = "c4nary-9f8e7d"
    await using target = countingTarget(
      () => new Response("ok", { headers: { "set-cookie": `session=${canary}`, "x-token": canary } })
    )
    await using service = await Service.start({ EGRESS_ALLOW: target.host, LOG_LEVEL: "trace" })
    const secret: Submission = {
      name: "secret",
      keepRequest: true,
      requestSpec: {
        method: "POST",
        url: `${target.url}/?api_key=${canary}`,
        headers: { authorization: `Bearer ${canary}`, "x-custom": canary, cookie: canary },
        body: JSON.stringify({ password: canary })
      }
    }
    const answers: Array<string> = []
    const calls = [
      secret,
      { ...secret, dueAt: new Date(Date.now() + DUE_IN_MS).toISOString() },
      { ...secret, dueAt: "2999-01-01T00:00:00Z" }
    ]
    for (const [index, submission] of calls.entries()) {
      const { serviceCallId } = await submit(service, TENANT, submission)
      const detail = index < 2 ? await end(service, serviceCallId) : await detailOf(service, TENANT, serviceCallId)
      answers.push(JSON.stringify(detail))
    }
    answers.push(JSON.stringify(await listAll(service, TENANT)))
    const refused = json({ ...secret, name: 1, dueAt: canary, tags: [{ canary }], [`x`]: canary })
    answers.push(await (await service.fetch(callsOf(TENANT), refused)).text())
    expect(target.byKey.size).toBe(2)
    for (const [arrival] of target.byKey.values()) {
      expect(arrival?.headers.get("authorization")).toBe(`Bearer ${canary}`)
      expect(arrival?.path).toContain(canary)
      expect(arrival?.body).toContain(canary)
    }

    const columns = TABLES.flatMap((table) => stored<Record<string, unknown>>(service.dbPath, `SELECT * FROM ${table}`))
    expect(columns.length).toBeGreaterThan(20)
    const { stdout, stderr } = await service.kill("SIGKILL")
    expect(stdout).toContain("consume StartExecution")
    expect(answers.filter((answer) => answer.includes(canary))).toEqual([])
    expect(columns.flatMap((row) => Object.values(row)).filter((value) => textOf(value).includes(canary))).toEqual([])
    expect([stdout, stderr].map((text) => text.includes(canary))).toEqual([false, false])
    for (const file of ["", "-wal"].map((suffix) => service.dbPath + suffix).filter(existsSync)) {
      expect(readFileSync(file).includes(canary)).toBe(false)
    }
  })
})

describe("a replayed submission", () => {
  it("adds no row and no event, before and after the call has ended", async () => {
    const held = Promise.withResolvers<void>()
    await using target = countingTarget(async () => {
      await held.promise
      return new Response("ok")
    })
    await using service = await Service.start({ EGRESS_ALLOW: target.host })
    const request = json({ ...call(target.url), tags: ["a"] }, { "idempotency-key": "order-17" })
    const first = await service.fetch(callsOf(TENANT), request)
    expect(first.status).toBe(202)
    const { serviceCallId } = await first.json()
    await until("the target has it", () => target.count === 1)
    await until("nothing is on its way", () => rowCounts(service.dbPath)["deliveries"] === 0)

    const replay = async () => {
      const before = rowCounts(service.dbPath)
      const answer = await service.fetch(callsOf(TENANT), request)
      expect(answer.status).toBe(200)
      expect(answer.headers.get("idempotency-replayed")).toBe("true")
      expect(answer.headers.get("location")).toBe(first.headers.get("location"))
      expect((await answer.json()).serviceCallId).toBe(serviceCallId)
      expect(rowCounts(service.dbPath)).toEqual(before)
      expect(before["outbox"]).toBeGreaterThan(0)
    }
    await replay()
    held.resolve()
    await end(service, serviceCallId)
    await until("nothing is on its way", () => rowCounts(service.dbPath)["deliveries"] === 0)
    await replay()
    expect(target.count).toBe(1)
  })
})

describe("a call due now", () => {
  it("is terminal in detail and list within a second", async () => {
    await using target = countingTarget()
    await using service = await Service.start({ EGRESS_ALLOW: target.host })
    const took: Array<number> = []
    for (let calls = 1; calls <= 5; calls++) {
      const startedAt = performance.now()
      const { serviceCallId } = await submit(service, TENANT, call(target.url))
      await end(service, serviceCallId)
      expect((await listAll(service, TENANT)).map(({ status }) => status)).toEqual(Array(calls).fill("Succeeded"))
      took.push(performance.now() - startedAt)
    }
    // What other programs do may delay one of them.
    expect(Math.min(...took)).toBeLessThan(1_000)
  })
})

const call = (url: string): Submission => ({
  name: "a call",
  requestSpec: { method: "POST", url, headers: { "x-a": "b" }, body: "{}" }
})

const end = (service: Service, serviceCallId: string): Promise<Detail> =>
  until("the call has ended", async () => {
    const detail = await detailOf(service, TENANT, serviceCallId)
    return TERMINAL.has(detail.status) && detail
  })

/**
 * The messages that are stored of a call in the order of seq, each with its version and the type of its cause. That may
 * be a command that has been carried out: of those only the log tells.
 */
const sequenceOf = async (service: Service, serviceCallId: string, correlationId: string) => {
  const rows = stored<OutboxRow>(
    service.dbPath,
    "SELECT * FROM outbox WHERE tenant_id = ? AND service_call_id = ? ORDER BY seq",
    TENANT,
    serviceCallId
  )
  expect([...new Set(rows.map((row) => row.correlation_id))]).toEqual([correlationId])
  expect(new Set(rows.map((row) => row.message_id)).size).toBe(rows.length)
  const sequence: Array<string> = []
  for (const { type, version, causation_id } of rows) {
    const cause = causation_id === null ? "nothing" : await publishedAs(service, serviceCallId, causation_id)
    sequence.push(`${type} ${version}, from ${cause}`)
  }
  return sequence
}

/** The type of a message of the call, as the log has it. */
const publishedAs = (service: Service, serviceCallId: string, messageId: string): Promise<string> =>
  until(`the log has message ${messageId}`, () =>
    service.logs
      .filter(({ annotations }) => annotations["messageId"] === messageId)
      .filter(({ annotations }) => annotations["serviceCallId"] === serviceCallId)
      .map(({ message }) => /^publish (\w+)$/.exec(message)?.[1])
      .find((type) => type !== undefined)
  )

const payloadsOf = (service: Service, serviceCallId: string, type: string): ReadonlyArray<Record<string, unknown>> =>
  stored<OutboxRow>(
    service.dbPath,
    "SELECT * FROM outbox WHERE service_call_id = ? AND type = ? ORDER BY seq",
    serviceCallId,
    type
  ).map((row) => JSON.parse(row.payload))

/** Where the sealed request of a call lies. */
const sealedIn = (service: Service, serviceCallId: string): ReadonlyArray<string> =>
  stored<{ readonly place: string }>(
    service.dbPath,
    `SELECT type AS place FROM outbox WHERE service_call_id = ?1 AND sealed IS NOT NULL UNION ALL
     SELECT 'service_calls' FROM service_calls WHERE service_call_id = ?1 AND sealed IS NOT NULL UNION ALL
     SELECT 'execution_attempts' FROM execution_attempts WHERE service_call_id = ?1 AND sealed_for_resend IS NOT NULL`,
    serviceCallId
  ).map(({ place }) => place)

const textOf = (value: unknown): string =>
  value instanceof Uint8Array ? Buffer.from(value).toString("latin1") : String(value)
