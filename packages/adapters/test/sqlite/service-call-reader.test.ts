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
import { Effect, Layer, Option } from "effect"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { ReadConnection, WriteConnection } from "../../src/sqlite/database.ts"
import { listQuery, layer as readerLayer } from "../../src/sqlite/service-call-reader.ts"
import { layer as repositoryLayer } from "../../src/sqlite/service-call-repository.ts"
import { layer as transactionLayer } from "../../src/sqlite/transaction.ts"
import { temporaryDatabase } from "./temporary-database.ts"

const storage = Layer.mergeAll(readerLayer, repositoryLayer, transactionLayer).pipe(
  Layer.provideMerge(temporaryDatabase)
)

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
    const property = fc.asyncProperty(anyCalls, anyFilter, fc.integer({ min: 1, max: 7 }), (calls, filter, limit) =>
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
        }).pipe(Effect.provide(storage))
      )()
    )
    await fc.assert(property, { numRuns: 60 })
  }, 30_000)

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
        const plan = (filter: Partial<ServiceCallFilter>, isLaterPage = false) => {
          const after = { acceptedAt: fromMillis(1), serviceCallId: uuid(1) }
          const all = { statuses: [], tags: [], ...filter }
          const { sql, bindings } = listQuery(acme, all, { limit: 20, ...(isLaterPage ? { after } : {}) })
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
          for (const isLaterPage of [false, true]) {
            expect(plan(filter, isLaterPage)).toContain(expected)
            expect(plan(filter, isLaterPage)).not.toContain("TEMP B-TREE")
            expect(plan(filter, isLaterPage)).not.toMatch(/SCAN [cft]\b/)
          }
        }
        expect(plan({ from: fromMillis(0), to: fromMillis(1) })).toContain(
          "service_calls_by_due (tenant_id=? AND due_at>?"
        )
      }).pipe(Effect.provide(storage))
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
