import {
  cancel,
  changeTags,
  fail,
  isEnded,
  type ServiceCall,
  schedule,
  start,
  submit,
  succeed
} from "@event-service-agent/orchestration/domain/service-call"
import { COUNTED_TAGS_MAX, ServiceCallReader } from "@event-service-agent/orchestration/ports/service-call-reader"
import { ServiceCallRepository } from "@event-service-agent/orchestration/ports/service-call-repository"
import { error, response, submission } from "@event-service-agent/orchestration/test-calls"
import { EventBusPort } from "@event-service-agent/platform/event-bus"
import { live } from "@event-service-agent/platform/testing"
import { Transaction } from "@event-service-agent/platform/transaction"
import { ServiceCallId, TenantId } from "@event-service-agent/schemas/ids"
import { STARRED } from "@event-service-agent/schemas/tags"
import { fromMillis } from "@event-service-agent/schemas/time"
import { Effect, Layer, Result } from "effect"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { WriteConnection } from "../../src/sqlite/database.ts"
import { layer as outboxLayer } from "../../src/sqlite/outbox.ts"
import { makePrune } from "../../src/sqlite/retention.ts"
import { layer as readerLayer } from "../../src/sqlite/service-call-reader.ts"
import { layer as repositoryLayer } from "../../src/sqlite/service-call-repository.ts"
import { layer as transactionLayer } from "../../src/sqlite/transaction.ts"
import { temporaryDatabase } from "./temporary-database.ts"

const RUNS = 30
const STEPS_MAX = 60
const TIME_MS_MAX = 200_000
/** Of one tenant, in the comparison of costs. */
const MANY_CALLS = 100_000
const READS = 50
const COST_FACTOR_MAX = 5

const storage = EventBusPort.layerEmbedded.pipe(
  Layer.provideMerge(Layer.mergeAll(readerLayer, repositoryLayer, transactionLayer, outboxLayer)),
  Layer.provideMerge(temporaryDatabase)
)

const tenants = ["acme", "other"].map((name) => TenantId.make(name))
const idOf = (n: number) => ServiceCallId.make(`00000000-0000-7000-8000-${String(n).padStart(12, "0")}`)

const anyTags = fc.subarray(["billing", "eu", "urgent", STARRED])
const anyPick = fc.nat(1_000)
const anyStep = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constant("submit" as const),
      tenant: fc.constantFrom(...tenants),
      tags: anyTags,
      name: fc.string({ unit: "grapheme" }),
      keepRequest: fc.boolean()
    })
  },
  { weight: 4, arbitrary: fc.record({ type: fc.constant("go on" as const), pick: anyPick, isGood: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("cancel" as const), pick: anyPick }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant("tag" as const), pick: anyPick, tags: anyTags }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("submit again" as const), pick: anyPick }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("prune" as const) }) }
)
type Step = typeof anyStep extends fc.Arbitrary<infer A> ? A : never
/** Steps in one unit each, which may be rolled back with all that was done before in it. */
const anyUnits = fc.array(
  fc.record({ steps: fc.array(anyStep, { minLength: 1, maxLength: 3 }), fails: fc.boolean() }),
  {
    maxLength: STEPS_MAX
  }
)

const at = fromMillis(6_000)

/** The next state, if there is one. */
const next = (call: ServiceCall, isGood: boolean): ServiceCall | undefined => {
  switch (call._tag) {
    case "Submitted":
      return schedule(call, at)
    case "Scheduled":
      return Result.getOrThrow(start(call, at))
    case "Running":
      return isGood ? succeed(call, { sentAt: at, response }, at) : fail(call, { sentAt: null, error }, at)
    default:
      return undefined
  }
}

/** Carries the unit out on what is stored, and says what is there then. */
const carryOut = Effect.fnUntraced(function* (steps: ReadonlyArray<Step>, before: ReadonlyMap<string, ServiceCall>) {
  const repository = yield* ServiceCallRepository
  const calls = new Map(before)
  const change = Effect.fnUntraced(function* (from: ServiceCall, to: ServiceCall | undefined) {
    if (to === undefined) return
    yield* repository.update(from, to)
    calls.set(from.serviceCallId, to)
  })
  for (const step of steps) {
    if (step.type === "submit") {
      const { tenant: tenantId, tags, name, keepRequest } = step
      const call = submit({ ...submission, tenantId, tags, name, keepRequest, serviceCallId: idOf(ids++) }, at)
      yield* repository.insert(call)
      calls.set(call.serviceCallId, call)
      continue
    }
    if (step.type === "prune") continue
    const call = [...calls.values()][step.pick % Math.max(1, calls.size)]
    if (call === undefined) continue
    if (step.type === "go on") yield* change(call, next(call, step.isGood))
    else if (step.type === "tag") yield* change(call, changeTags(call, step.tags))
    else if (step.type === "submit again") expect(yield* repository.insert(call)).toBe(false)
    else if (call._tag === "Submitted" || call._tag === "Scheduled") yield* change(call, cancel(call, null, at))
  }
  return calls
})
let ids = 0

/** What the reader counts, and what there is by the tables themselves. */
const compare = Effect.fnUntraced(function* (calls: ReadonlyMap<string, ServiceCall>) {
  const reader = yield* ServiceCallReader
  const { database } = yield* WriteConnection
  for (const tenant of tenants) {
    const grouped = (sql: string) =>
      database
        .query<{ name: string; calls: number }, [string]>(sql)
        .all(tenant)
        .map(({ name, calls }) => [name, calls] as const)
    const own = [...calls.values()].filter(({ tenantId }) => tenantId === tenant)
    const counts = yield* reader.counts(tenant)
    const statuses = Object.fromEntries(counts.statuses)
    const tags = Object.fromEntries(counts.tags.map(({ tag, calls }) => [tag, calls]))
    expect(statuses).toEqual(
      Object.fromEntries(
        grouped("SELECT status AS name, count(*) AS calls FROM service_calls WHERE tenant_id = ? GROUP BY 1")
      )
    )
    expect(tags).toEqual(
      Object.fromEntries(
        grouped(
          `SELECT value AS name, count(*) AS calls FROM service_calls c, json_each(c.tags) WHERE tenant_id = ? GROUP BY 1`
        )
      )
    )
    expect(statuses).toEqual(countBy(own.map(({ _tag }) => _tag)))
    expect(tags).toEqual(countBy(own.flatMap((call) => call.tags)))
    const bytes = (sql: string) => database.query<{ bytes: number | null }, [string]>(sql).get(tenant)?.bytes ?? 0
    const recounted = bytes(
      `SELECT sum(octet_length(name) + octet_length(request) + octet_length(tags) + coalesce(octet_length(sealed), 0)
         + coalesce(octet_length(outcome), 0)) AS bytes FROM service_calls WHERE tenant_id = ?`
    )
    expect(bytes("SELECT bytes FROM stored_bytes WHERE tenant_id = ?")).toBe(recounted)
    const texts = own.map(({ name, request, tags }) => name + JSON.stringify(request) + JSON.stringify(tags))
    expect(recounted).toBeGreaterThanOrEqual(Buffer.byteLength(texts.join("")))
  }
})

const countBy = (names: ReadonlyArray<string>): Record<string, number> =>
  Object.fromEntries([...Map.groupBy(names, (name) => name)].map(([name, all]) => [name, all.length]))

describe("counts of calls and of their bytes, on SQLite", () => {
  it("are what a query would count, whatever is submitted, changed, cancelled, tagged, pruned and rolled back", async () => {
    const property = fc.asyncProperty(anyUnits, (units) =>
      live(
        Effect.gen(function* () {
          const transaction = yield* Transaction
          const { database } = yield* WriteConnection
          database.run("PRAGMA synchronous = OFF")
          const retention = { finishedMs: 1, eventsMs: null, deadLettersMs: null, keptRequestsMs: null }
          const prune = yield* makePrune(retention)
          let calls: ReadonlyMap<string, ServiceCall> = new Map()
          for (const { steps, fails } of units) {
            const work = carryOut(steps, calls)
            if (fails) yield* Effect.flip(transaction.run(Effect.andThen(work, Effect.fail("rolled back"))))
            else calls = yield* transaction.run(work)
            if (steps.some(({ type }) => type === "prune")) {
              yield* prune
              calls = new Map([...calls].filter(([, call]) => !isEnded(call)))
            }
            yield* compare(calls)
          }
        }).pipe(Effect.provide(storage))
      )()
    )
    await fc.assert(property, { numRuns: RUNS, interruptAfterTimeLimit: TIME_MS_MAX, markInterruptAsFailure: true })
  })

  it(
    "are there for the hundred most used tags, and always for the star",
    live(
      Effect.gen(function* () {
        const transaction = yield* Transaction
        const repository = yield* ServiceCallRepository
        const reader = yield* ServiceCallReader
        const [tenantId] = tenants
        if (tenantId === undefined) return
        const store = (tags: ReadonlyArray<string>) =>
          transaction.run(repository.insert(submit({ ...submission, tenantId, tags, serviceCallId: idOf(ids++) }, at)))
        for (let n = 0; n < 2 * COUNTED_TAGS_MAX; n++) {
          for (let times = n < COUNTED_TAGS_MAX ? 2 : 1; times > 0; times--) yield* store([`tag ${n}`])
        }
        const often = (yield* reader.counts(tenantId)).tags
        expect(often).toHaveLength(COUNTED_TAGS_MAX)
        expect(often.every(({ calls }) => calls === 2)).toBe(true)
        yield* store([STARRED])
        const { tags } = yield* reader.counts(tenantId)
        expect(tags).toHaveLength(COUNTED_TAGS_MAX)
        expect(tags).toContainEqual({ tag: STARRED, calls: 1 })
      }).pipe(Effect.provide(storage))
    )
  )

  it(
    "cost the same for a hundred thousand calls as for one",
    live(
      Effect.gen(function* () {
        const transaction = yield* Transaction
        const repository = yield* ServiceCallRepository
        const reader = yield* ServiceCallReader
        const { database } = yield* WriteConnection
        const [few, many] = tenants
        if (few === undefined || many === undefined) return
        for (const tenantId of tenants) {
          const call = submit({ ...submission, tenantId, tags: ["a", "b"], serviceCallId: idOf(ids++) }, at)
          yield* transaction.run(repository.insert(call))
        }
        database.run("PRAGMA synchronous = OFF")
        const columns = (table: string) =>
          database
            .query<{ readonly name: string }, []>(`SELECT name FROM pragma_table_info('${table}')`)
            .all()
            .map(({ name }) => name)
        database.transaction(() => {
          for (const table of ["service_calls", "service_call_tags"]) {
            const values = columns(table).map((name) => (name === "service_call_id" ? "c.value" : `o.${name}`))
            database.run(
              `WITH RECURSIVE c (value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM c WHERE value < ${MANY_CALLS})
               INSERT INTO ${table} SELECT ${values} FROM c CROSS JOIN ${table} o WHERE o.tenant_id = '${many}'`
            )
          }
        })()
        expect((yield* reader.counts(many)).tags).toContainEqual({ tag: "a", calls: MANY_CALLS + 1 })
        const cost = (tenantId: TenantId) =>
          Effect.gen(function* () {
            const startedAt = performance.now()
            yield* reader.counts(tenantId)
            return performance.now() - startedAt
          })
        const median = (costs: ReadonlyArray<number>) => costs.toSorted((a, b) => a - b)[costs.length >> 1] ?? 0
        const costs = { few: [] as number[], many: [] as number[] }
        for (let read = 0; read < READS; read++) {
          costs.few.push(yield* cost(few))
          costs.many.push(yield* cost(many))
        }
        expect(median(costs.many)).toBeLessThan(median(costs.few) * COST_FACTOR_MAX)
      }).pipe(Effect.provide(storage))
    )
  )
})
