import { afterAll, describe, expect, it } from "vitest"
import {
  callsOf,
  countOf,
  type Detail,
  detailOf,
  json,
  listAll,
  type Submission,
  sideBySide,
  submit
} from "./client.ts"
import { type CountingTarget, countingTarget } from "./counting-target.ts"
import { storeDeadLetter, storeOldCalls } from "./old-calls.ts"
import { removeLeftovers, Service } from "./process.ts"
import { rowCounts, stored } from "./stored.ts"
import { until } from "./until.ts"

afterAll(removeLeftovers)

const TENANT = "acme"
const WAIT_MS_MAX = 60_000
const DAY_MS = 86_400_000

/** At 200 a second: 1.5 seconds, and then 3 in each round. */
const STEADY_CALLS = 300
const STEADY_INTERVAL_MS = 5

/** What the file may grow by in a round. */
const GROWTH_MAX = 1.1

const OLD_CALLS = 20_000
const DUE_CALLS = 200
const DUE_INTERVAL_MS = 5
const DUE_LEAD_MS = 500
/** All in one unit, 20,000 calls take more than a second. */
const LATENESS_MS_MAX = 100
const LATENESS_FACTOR_MAX = 5
/** So many rows at least go while the calls are due. */
const PRUNED_MIN = 1_000
const TRIES_MAX = 6

const callTo = (url: string): Submission => ({
  name: "kept for a while",
  requestSpec: { method: "POST", url, headers: { authorization: "Bearer 123456789" }, body: "b".repeat(500) }
})

const untilEnded = (service: Service, id: string) =>
  until("the call has ended", async () => (await detailOf(service, TENANT, id)).finishedAt !== null, WAIT_MS_MAX)

describe.concurrent("what becomes too old", () => {
  it("is gone from every route, its key may be used again, and calls that wait still run", async () => {
    await using target = countingTarget()
    const retention = { RETENTION_FINISHED: "2s", RETENTION_EVENTS: "1s" }
    await using service = await Service.start({ EGRESS_ALLOW: target.host, ...retention })
    const dueAt = new Date(Date.now() + 4_000).toISOString()
    const far = await submit(service, TENANT, { ...callTo(target.url), dueAt: "2096-01-01T00:00:00Z" })
    const later = await submit(service, TENANT, { ...callTo(target.url), dueAt, tags: ["waits"] })
    const submission = { ...callTo(target.url), tags: ["a", "b"], idempotencyKey: "again" }
    const first = await submit(service, TENANT, submission)
    await untilEnded(service, first.serviceCallId)

    const path = `${callsOf(TENANT)}/${first.serviceCallId}`
    await until("the call is gone", async () => (await service.fetch(path)).status === 404, WAIT_MS_MAX)
    expect((await service.fetch(path)).status).toBe(404)
    expect((await service.fetch(`${path}/cancel`, json({}))).status).toBe(404)
    expect(await listAll(service, TENANT, "&tag=a")).toEqual([])
    expect((await listAll(service, TENANT)).map((call) => call.serviceCallId)).not.toContain(first.serviceCallId)

    const second = await submit(service, TENANT, submission)
    expect(second.serviceCallId).toBe(first.serviceCallId)
    await until("the target was called again", () => target.byKey.get(first.serviceCallId)?.length === 2, WAIT_MS_MAX)
    await untilEnded(service, second.serviceCallId)

    await until("the waiting call has run", () => target.byKey.has(later.serviceCallId), WAIT_MS_MAX)
    expect(target.byKey.get(later.serviceCallId)?.[0]?.body).toBe(callTo("").requestSpec.body)
    await until("nothing but the far call is left", () => rowCounts(service.dbPath)["service_calls"] === 1, WAIT_MS_MAX)
    expect((await detailOf(service, TENANT, far.serviceCallId)).status).toBe("Scheduled")
    expect(rowCounts(service.dbPath)).toMatchObject({
      deliveries: 0,
      dead_letters: 0,
      service_call_tags: 0,
      submissions: 1,
      timer_schedules: 1,
      execution_attempts: 0
    })
    const sealed = "SELECT count(*) AS rows FROM service_calls WHERE sealed IS NOT NULL"
    expect(stored(service.dbPath, sealed)).toEqual([{ rows: 1 }])
    const messages = "SELECT count(*) AS rows FROM outbox WHERE service_call_id <> ?"
    await until(
      "the messages of the others are gone",
      () => stored<{ readonly rows: number }>(service.dbPath, messages, far.serviceCallId)[0]?.rows === 0,
      WAIT_MS_MAX
    )
    const others = service.logs.filter(({ level }) => level !== "INFO")
    expect(others).toMatchObject([{ level: "WARN", message: expect.stringContaining("is less than 30d") }])
  })

  it("is erased from a call that kept its request, and given up as a dead letter", async () => {
    await using target = countingTarget()
    await using service = await Service.start({
      EGRESS_ALLOW: target.host,
      RETENTION_FINISHED: "off",
      RETENTION_EVENTS: "off",
      RETENTION_KEPT_REQUESTS: "2s",
      RETENTION_DEAD_LETTERS: "1s"
    })
    const { serviceCallId } = await submit(service, TENANT, { ...callTo(target.url), keepRequest: true })
    await untilEnded(service, serviceCallId)
    const before = await detailOf(service, TENANT, serviceCallId)
    const sealed = `SELECT (SELECT count(*) FROM service_calls WHERE sealed IS NOT NULL) AS calls,
      (SELECT count(*) FROM outbox WHERE sealed IS NOT NULL) AS messages`
    expect(stored(service.dbPath, sealed)).toMatchObject([{ calls: 1 }])
    await until(
      "the request is erased",
      () => Bun.deepEquals(stored(service.dbPath, sealed), [{ calls: 0, messages: 0 }]),
      WAIT_MS_MAX
    )

    await service.kill("SIGTERM")
    storeDeadLetter(service.dbPath)
    expect(rowCounts(service.dbPath)).toMatchObject({ dead_letters: 1 })
    await service.restart()
    const deadLetters = async (): Promise<ReadonlyArray<unknown>> =>
      (await (await service.fetch("/api/admin/dead-letters")).json()).items
    await until("the dead letter is given up", async () => (await deadLetters()).length === 0, WAIT_MS_MAX)
    const line = await until("it is in the log", () =>
      service.logs.find(({ message }) => message.includes("is given up"))
    )
    expect(line.annotations).toMatchObject({ tenantId: TENANT, serviceCallId })
    const after: Detail = await detailOf(service, TENANT, serviceCallId)
    expect(before.requestKept).toBe(true)
    expect(after).toEqual({ ...before, requestKept: false })
  })

  it("makes room for the new: the file stops growing under steady load", async () => {
    await using target = countingTarget()
    const retention = { RETENTION_FINISHED: "1s", RETENTION_EVENTS: "1s" }
    await using service = await Service.start({ EGRESS_ALLOW: target.host, ...retention })
    const pages = () =>
      stored<{ readonly used: number; readonly all: number }>(
        service.dbPath,
        `SELECT page_count - freelist_count AS used, page_count AS "all" FROM pragma_page_count, pragma_freelist_count`
      )[0] ?? { used: 0, all: 0 }
    const run = async (from: number, count: number) => {
      const startedAt = performance.now()
      await sideBySide(Array(count).keys(), 16, async (index) => {
        // Paced, so that more time and not only more calls goes by.
        await Bun.sleep(Math.max(0, startedAt + index * STEADY_INTERVAL_MS - performance.now()))
        await submit(service, TENANT, callTo(`${target.url}/${from + index}`))
      })
    }
    await run(0, STEADY_CALLS)
    const early = pages()
    let calls = STEADY_CALLS
    let late = early
    let before = early
    const isSteady = () => late.used < early.used * 1.5 && late.all < before.all * GROWTH_MAX
    // With nothing deleted, even the last round would add a sixth. A busy machine deletes late.
    for (let round = 1; round <= TRIES_MAX && !(round > 1 && isSteady()); round++) {
      await run(calls, 2 * STEADY_CALLS)
      calls += 2 * STEADY_CALLS
      before = late
      late = pages()
    }
    await until("every call has arrived", () => target.count === calls, WAIT_MS_MAX)
    expect(early.used).toBeGreaterThan(100)
    expect({ isSteady: isSteady(), early, before, late }).toMatchObject({ isSteady: true })
    await until("all is gone", async () => (await countOf(service, TENANT)) === 0, WAIT_MS_MAX)
  })
})

/** Calls due one after the other: how late the 99th percentile of them arrives, in milliseconds. */
const performDue = async (service: Service, target: CountingTarget): Promise<number> => {
  const firstDue = Date.now() + DUE_LEAD_MS
  const due = new Map<string, number>()
  await sideBySide(Array(DUE_CALLS).keys(), 16, async (index) => {
    const dueAt = firstDue + index * DUE_INTERVAL_MS
    const later = { ...callTo(target.url), dueAt: new Date(dueAt).toISOString() }
    due.set((await submit(service, TENANT, later)).serviceCallId, dueAt)
  })
  await until("all have arrived", () => [...due.keys()].every((id) => target.byKey.has(id)), WAIT_MS_MAX)
  const latenesses = [...due].map(([id, dueAt]) => (target.byKey.get(id)?.[0]?.arrivedAt ?? 0) - dueAt)
  return latenesses.sort((a, b) => a - b)[Math.floor(DUE_CALLS * 0.99)] ?? 0
}

/** The lateness without old calls, and while 20,000 of them are pruned. */
const measureLateness = async () => {
  await using target = countingTarget()
  await using service = await Service.start({ EGRESS_ALLOW: target.host })
  const countOld = () =>
    stored<{ readonly rows: number }>(
      service.dbPath,
      "SELECT (SELECT count(*) FROM service_calls WHERE finished_at < ?1) + (SELECT count(*) FROM outbox WHERE timestamp < ?1) AS rows",
      Date.now() - DAY_MS
    )[0]?.rows ?? 0

  const without = await performDue(service, target)
  const isAtRest = async () => (await countOf(service, TENANT, "Succeeded")) === DUE_CALLS
  await until("all have ended", isAtRest, WAIT_MS_MAX)
  await service.kill("SIGTERM")
  storeOldCalls(service.dbPath, OLD_CALLS / DUE_CALLS, 31 * DAY_MS)
  const storedRows = countOld()
  expect(storedRows).toBeGreaterThan(2 * OLD_CALLS)
  await service.restart()
  const during = await performDue(service, target)
  return { without, during, pruned: storedRows - countOld() }
}

describe("pruning 20,000 old calls", () => {
  it("does not delay those that are due meanwhile", async () => {
    // What other programs do may delay the calls of one try. What pruning does would delay those of each.
    const tries: Array<Awaited<ReturnType<typeof measureLateness>>> = []
    const isInTime = () =>
      tries.some(
        ({ without, during, pruned }) =>
          pruned > PRUNED_MIN && during <= without * LATENESS_FACTOR_MAX + LATENESS_MS_MAX
      )
    while (!isInTime() && tries.length < TRIES_MAX) tries.push(await measureLateness())
    expect({ isInTime: isInTime(), tries }).toMatchObject({ isInTime: true })
  })
})
