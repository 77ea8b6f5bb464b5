import type { SQLQueryBindings } from "bun:sqlite"
import { changeTags, type ServiceCall } from "@event-service-agent/orchestration/domain/service-call"
import {
  type ServiceCallFilter,
  ServiceCallReader,
  STATUSES
} from "@event-service-agent/orchestration/ports/service-call-reader"
import { ServiceCallRepository } from "@event-service-agent/orchestration/ports/service-call-repository"
import { serviceCallRepositoryContract } from "@event-service-agent/orchestration/service-call-repository.contract"
import { everyState, succeeded } from "@event-service-agent/orchestration/test-calls"
import { live } from "@event-service-agent/platform/testing"
import { Transaction } from "@event-service-agent/platform/transaction"
import { ServiceCallId, TenantId } from "@event-service-agent/schemas/ids"
import { fromMillis, toMillis } from "@event-service-agent/schemas/time"
import { Effect, Fiber, Layer, Option } from "effect"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { ReadConnection, WriteConnection } from "../../src/sqlite/database.ts"
import { listQuery, SEARCHES_PER_TENANT_MAX } from "../../src/sqlite/service-call-list.ts"
import { layerLooking, layer as readerLayer } from "../../src/sqlite/service-call-reader.ts"
import { layer as repositoryLayer } from "../../src/sqlite/service-call-repository.ts"
import { layer as transactionLayer } from "../../src/sqlite/transaction.ts"
import { temporaryDatabase } from "./temporary-database.ts"

const storageWith = (reader: typeof readerLayer) =>
  Layer.mergeAll(reader, repositoryLayer, transactionLayer).pipe(Layer.provideMerge(temporaryDatabase))
const storage = storageWith(readerLayer)

serviceCallRepositoryContract("on SQLite", storage)

const tenants = ["acme", "other"].map((name) => TenantId.make(name))
const [acme] = tenants
if (acme === undefined) throw new Error("a tenant")
const uuid = (n: number) => ServiceCallId.make(`00000000-0000-7000-8000-${String(n).padStart(12, "0")}`)
const tagNames = ["billing", "eu", "urgent"]

/** A stored call for each entry: few instants, so that many share one. */
const anyCalls = fc
  .array(
    fc.record({
      tenant: fc.constantFrom(...tenants),
      state: fc.nat(everyState.length - 1),
      acceptedAt: fc.nat(3),
      dueAt: fc.nat(5),
      tags: fc.subarray(tagNames),
      name: fc.constantFrom("nightly report", "Invoice 100%", "réf_1")
    }),
    { maxLength: 40 }
  )
  .map((made) =>
    made.map(({ tenant, state, acceptedAt, dueAt, tags, name }, index): ServiceCall => {
      const call = everyState[state] ?? succeeded
      const times = { acceptedAt: fromMillis(acceptedAt), dueAt: fromMillis(dueAt) }
      return { ...call, ...times, tenantId: tenant, serviceCallId: uuid(index), tags, name }
    })
  )

const anyFilter: fc.Arbitrary<ServiceCallFilter> = fc.record(
  {
    statuses: fc.subarray([...STATUSES]),
    tags: fc.subarray(tagNames),
    from: fc.nat(5).map(fromMillis),
    to: fc.nat(6).map(fromMillis),
    text: fc.constantFrom("", "REPORT", "100%", "example.com/hook", "_", "nothing like it")
  },
  { requiredKeys: ["statuses", "tags"] }
)

/** The plainest reading of the filter. */
const isMatch = (call: ServiceCall, { statuses, tags, from, to, text }: ServiceCallFilter): boolean => {
  const due = toMillis(call.dueAt)
  const wanted = text?.toLowerCase() ?? ""
  return (
    (statuses.length === 0 || statuses.includes(call._tag)) &&
    tags.every((tag) => call.tags.includes(tag)) &&
    (from === undefined || due >= toMillis(from)) &&
    (to === undefined || due < toMillis(to)) &&
    (call.name.toLowerCase().includes(wanted) || call.request.url.toLowerCase().includes(wanted))
  )
}

const storeAll = Effect.fnUntraced(function* (calls: ReadonlyArray<ServiceCall>) {
  const transaction = yield* Transaction
  const repository = yield* ServiceCallRepository
  for (const call of calls) {
    // Stored with other tags first, so that replacing them is part of what is read.
    yield* transaction.run(repository.insert({ ...call, tags: ["billing"] }))
    const before = { ...call, tags: ["billing"] }
    yield* transaction.run(repository.update(before, { ...changeTags(before, call.tags), revision: call.revision }))
  }
})

describe("ServiceCallReader, on SQLite", () => {
  it("lists what a plain filter over all calls finds, newest first, page by page", async () => {
    const [anyLimit, anyLook] = [fc.integer({ min: 1, max: 7 }), fc.integer({ min: 1, max: 20 })]
    const property = fc.asyncProperty(anyCalls, anyFilter, anyLimit, anyLook, (calls, filter, limit, lookMax) =>
      live(
        Effect.gen(function* () {
          yield* storeAll(calls)
          const reader = yield* ServiceCallReader
          const listed: Array<string> = []
          for (let page = yield* reader.list(acme, filter, { limit }); page.length > 0; ) {
            expect(page.length).toBeLessThanOrEqual(limit)
            listed.push(...page.map((call) => call.serviceCallId))
            const last = page.at(-1)
            if (last === undefined) break
            page = yield* reader.list(acme, filter, { after: last, limit })
          }
          const expected = calls
            .filter((call) => call.tenantId === acme && isMatch(call, filter))
            .sort(
              (a, b) => toMillis(b.acceptedAt) - toMillis(a.acceptedAt) || (a.serviceCallId < b.serviceCallId ? 1 : -1)
            )
          expect(listed).toEqual(expected.map((call) => call.serviceCallId))
        }).pipe(Effect.provide(storageWith(layerLooking(lookMax))))
      )()
    )
    await fc.assert(property, { numRuns: 60 })
  })

  it(
    "shows a call's history, attempt and outcome, to its tenant alone",
    live(
      Effect.gen(function* () {
        yield* storeAll([succeeded])
        const reader = yield* ServiceCallReader
        expect(yield* reader.get(succeeded)).toMatchObject({
          value: {
            status: "Succeeded",
            latenessMs: 1,
            attempt: { number: 1 },
            outcome: { type: "Succeeded", response: succeeded.response },
            history: [
              { status: "Submitted", at: succeeded.submittedAt },
              { status: "Scheduled", at: succeeded.scheduledAt },
              { status: "Running", at: succeeded.startedAt },
              { status: "Succeeded", at: succeeded.finishedAt }
            ]
          }
        })
        expect(yield* reader.get({ ...succeeded, tenantId: TenantId.make("other") })).toEqual(Option.none())
      }).pipe(Effect.provide(storage))
    )
  )

  it(
    "walks an index led by the tenant for each filter, and sorts nothing but a range of due times",
    live(
      Effect.gen(function* () {
        const { database } = yield* ReadConnection
        const place = { acceptedAt: fromMillis(1), serviceCallId: uuid(1) }
        const plan = (
          filter: Partial<ServiceCallFilter>,
          ends: { after?: typeof place; downTo?: typeof place } = {}
        ) => {
          const { sql, bindings } = listQuery(acme, { statuses: [], tags: [], ...filter }, { limit: 20, ...ends })
          const rows = database
            .query<{ detail: string }, Array<SQLQueryBindings>>(`EXPLAIN QUERY PLAN ${sql}`)
            .all(...bindings)
          return rows.map((row) => row.detail).join("; ")
        }
        const cases: ReadonlyArray<readonly [Partial<ServiceCallFilter>, string]> = [
          [{}, "service_calls_by_acceptance (tenant_id=?"],
          [{ text: "report" }, "service_calls_by_acceptance (tenant_id=?"],
          [{ statuses: ["Failed"] }, "service_calls_by_status (tenant_id=? AND status=?"],
          [{ statuses: ["Failed", "Running"] }, "service_calls_by_acceptance (tenant_id=?"],
          [{ tags: ["billing"] }, "SEARCH t USING PRIMARY KEY (tenant_id=? AND tag=?"],
          [{ tags: ["billing", "eu"] }, "SEARCH t USING PRIMARY KEY (tenant_id=? AND tag=?"]
        ]
        for (const [filter, expected] of cases) {
          for (const ends of [{}, { after: place }, { downTo: place }, { after: place, downTo: place }]) {
            expect(plan(filter, ends)).toContain(expected)
            expect(plan(filter, ends)).not.toContain("TEMP B-TREE")
            expect(plan(filter, ends)).not.toMatch(/SCAN [cft]\b/)
          }
        }
        const stretch = plan({ from: fromMillis(0) }, { downTo: place })
        expect(stretch).toContain("service_calls_by_acceptance (tenant_id=? AND (accepted_at,service_call_id)>(?,?))")
        expect(stretch).not.toContain("TEMP B-TREE")
        for (const narrow of [{}, { text: "report" }, { statuses: ["Failed" as const] }]) {
          for (const range of [{ from: fromMillis(0), to: fromMillis(1) }, { to: fromMillis(1) }]) {
            expect(plan({ ...narrow, ...range })).toMatch(/service_calls_by_due \(tenant_id=\? AND due_at[<>]\?/)
          }
        }
      }).pipe(Effect.provide(storage))
    )
  )

  it(
    "lets other work go on while it looks for calls that are rare",
    live(
      Effect.gen(function* () {
        const [calls, lookMax] = [60, 10]
        yield* Effect.gen(function* () {
          yield* storeAll(Array.from({ length: calls }, (_, n) => ({ ...succeeded, serviceCallId: uuid(n) })))
          const reader = yield* ServiceCallReader
          let turns = 0
          // It yields after each turn.
          const other = yield* Effect.forkChild(Effect.forever(Effect.sync(() => turns++)), { startImmediately: true })
          const search = reader.list(acme, { statuses: [], tags: [], text: "nothing like it" }, { limit: 1 })
          const before = turns
          expect(yield* search).toEqual([])
          expect(turns - before).toBeGreaterThanOrEqual(calls / lookMax - 1)
          yield* Fiber.interrupt(other)
        }).pipe(Effect.provide(storageWith(layerLooking(lookMax))))
      })
    )
  )

  it(
    "searches for each tenant in turn, and refuses more than have a place",
    live(
      Effect.gen(function* () {
        const other = TenantId.make("other")
        const calls = [acme, other].flatMap((tenantId, at) =>
          Array.from({ length: 60 }, (_, n) => ({ ...succeeded, tenantId, serviceCallId: uuid(100 * at + n) }))
        )
        yield* storeAll(calls)
        const reader = yield* ServiceCallReader
        const ended: Array<TenantId> = []
        const search = (tenantId: TenantId) =>
          reader
            .list(tenantId, { statuses: [], tags: [], text: "nothing like it" }, { limit: 1 })
            .pipe(Effect.tap(Effect.sync(() => ended.push(tenantId))), Effect.forkChild({ startImmediately: true }))
        const mine = yield* Effect.forEach(Array(SEARCHES_PER_TENANT_MAX).keys(), () => search(acme))
        const refused = yield* Effect.flip(Fiber.join(yield* search(acme)))
        expect(refused).toMatchObject({
          _tag: "CannotSearch",
          detail: expect.stringContaining("8 searches of the tenant")
        })
        yield* Fiber.join(yield* search(other))
        // It came last, and had to wait for no more than the one that was under way.
        expect(ended.indexOf(other)).toBeLessThan(3)
        // Whoever goes away makes room.
        yield* Fiber.interruptAll(mine.slice(4))
        yield* Fiber.joinAll(mine.slice(0, 4))
        const again = yield* Effect.forEach(Array(SEARCHES_PER_TENANT_MAX).keys(), () => search(acme))
        yield* Fiber.joinAll(again)
        expect(ended.slice(-SEARCHES_PER_TENANT_MAX)).toEqual(Array(SEARCHES_PER_TENANT_MAX).fill(acme))
      }).pipe(Effect.provide(storageWith(layerLooking(5))))
    )
  )

  it(
    "gives a search up that takes too long",
    live(
      Effect.gen(function* () {
        yield* storeAll(Array.from({ length: 60 }, (_, n) => ({ ...succeeded, serviceCallId: uuid(n) })))
        const reader = yield* ServiceCallReader
        const filter = { statuses: [], tags: [], text: "nothing like it" }
        for (let round = 0; round <= SEARCHES_PER_TENANT_MAX; round++) {
          const { detail } = yield* Effect.flip(
            Effect.catchTag(reader.list(acme, filter, { limit: 1 }), "StorageError", Effect.die)
          )
          expect(detail).toContain("ask for one state, one tag or a range of due times")
        }
        // What needs no search is not given up.
        expect(yield* reader.list(acme, { statuses: ["Failed", "Succeeded"], tags: [] }, { limit: 2 })).toHaveLength(2)
      }).pipe(Effect.provide(storageWith(layerLooking(5, 0))))
    )
  )

  it(
    "asks for any number of tags and statuses with one statement",
    live(
      Effect.gen(function* () {
        const tags = Array.from({ length: 500 }, (_, n) => `tag ${n}`)
        const texts = [2, 3, 50, 500].map((count) => {
          const filter = { statuses: [...STATUSES].slice(0, Math.min(count, 6)), tags: tags.slice(0, count) }
          return listQuery(acme, filter, { limit: 20 }).sql
        })
        expect(new Set(texts).size).toBe(1)
        const reader = yield* ServiceCallReader
        expect(yield* reader.list(acme, { statuses: [], tags }, { limit: 20 })).toEqual([])
      }).pipe(Effect.provide(storage))
    )
  )

  it(
    "cannot write",
    live(
      Effect.gen(function* () {
        const { database } = yield* ReadConnection
        expect(() => database.run("DELETE FROM service_calls")).toThrow("readonly")
        expect((yield* WriteConnection).database.inTransaction).toBe(false)
      }).pipe(Effect.provide(storage))
    )
  )
})
