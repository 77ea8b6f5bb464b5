import { Outbox } from "@event-service-agent/platform/outbox"
import { Transaction } from "@event-service-agent/platform/transaction"
import type { ServiceCallId, TenantId } from "@event-service-agent/schemas/ids"
import { Effect } from "effect"
import { ReadConnection, WriteConnection } from "./database.ts"
import { inUnits, type SweepLimits } from "./sweep.ts"
import { callOfRow, makeUnhandled, type ReadUpTo } from "./unhandled.ts"

/** A call that has ended. */
interface EndedRow {
  readonly id: number
  readonly tenant_id: TenantId
  readonly service_call_id: ServiceCallId
  readonly accepted_at: number
  readonly tags: string
  readonly bytes: number
}

interface PageRow {
  readonly rows: number
  readonly last: number | null
}

// Only columns before `sealed` are read of calls that have not ended: those behind a large request cost its pages.
const ENDED = `SELECT rowid AS id, tenant_id, service_call_id, accepted_at, tags,
    octet_length(request) + coalesce(octet_length(outcome), 0) + coalesce(octet_length(sealed), 0) AS bytes
  FROM service_calls
  WHERE rowid > ? AND rowid <= ? AND status IN ('Succeeded', 'Failed', 'Cancelled') AND finished_at <= ?`

/** Steps over the calls of all tenants in the order of their submission, which is that of their rowids. */
export const makePruneServiceCalls = Effect.fnUntraced(function* (limits: SweepLimits) {
  const reader = yield* ReadConnection
  const transaction = yield* Transaction
  const page = reader.prepare<PageRow>(
    `SELECT count(*) AS rows, max(id) AS last FROM (
       SELECT rowid AS id FROM service_calls WHERE rowid > ? AND rowid <= ? ORDER BY rowid LIMIT ?
     )`
  )
  const lastId = reader.prepare<{ readonly id: number | null }>("SELECT max(rowid) AS id FROM service_calls")
  const submittedAt = reader.prepare<{ readonly submitted_at: number }>(
    "SELECT submitted_at FROM service_calls WHERE rowid = ?"
  )
  const ended = reader.prepare<EndedRow>(`${ENDED} ORDER BY rowid`)
  const endedWithRequest = reader.prepare<EndedRow>(`${ENDED} AND sealed IS NOT NULL ORDER BY rowid`)
  const deleteCall = yield* makeDeleteCall
  const eraseKept = yield* makeEraseKept
  const unhandled = makeUnhandled(yield* WriteConnection)

  /** In units of their own. Those that a message waits for stay: its consumer would find nothing. */
  const deleteAll = Effect.fnUntraced(function* (rows: ReadonlyArray<EndedRow>) {
    const names = new Set(rows.map(callOfRow))
    const held = new Set<string>()
    let readUpTo: ReadUpTo = new Map()
    let deleted = 0
    const deleteUnit = (unit: ReadonlyArray<EndedRow>) =>
      Effect.gen(function* () {
        const found = yield* unhandled.callsAfter(readUpTo)
        const isHeld = new Set([...held, ...found.calls])
        let count = 0
        if (found.hasCaughtUp) {
          for (const row of unit) if (!isHeld.has(callOfRow(row)) && (yield* deleteCall(row))) count++
        }
        return { ...found, count }
      })
    for (const unit of inUnits(rows, limits.callsPerUnit, limits.bytesPerUnit)) {
      for (let hasCaughtUp = false; !hasCaughtUp; ) {
        const done = yield* transaction.run(deleteUnit(unit))
        // Only now, because what a unit reads may be rolled back with its neighbours.
        for (const call of done.calls) if (names.has(call)) held.add(call)
        readUpTo = done.readUpTo
        hasCaughtUp = done.hasCaughtUp
        deleted += done.count
        yield* Effect.sleep(limits.pauseMs)
      }
    }
    return deleted
  })

  const eraseAll = Effect.fnUntraced(function* (rows: ReadonlyArray<EndedRow>) {
    for (const unit of inUnits(rows, limits.callsPerUnit, limits.bytesPerUnit)) {
      yield* transaction.run(Effect.forEach(unit, eraseKept, { discard: true }))
      yield* Effect.sleep(limits.pauseMs)
    }
    return rows.length
  })

  const step = <E, R>(
    find: typeof ended,
    prune: (rows: ReadonlyArray<EndedRow>) => Effect.Effect<number, E, R>,
    before: Effect.Effect<number>
  ) =>
    Effect.fnUntraced(function* (after: number, upTo: number) {
      const finishedBefore = yield* before
      const { rows = 0, last = null } = (yield* page.first(after, upTo, limits.rows)) ?? {}
      if (last === null) {
        const end = (yield* lastId.first())?.id ?? 0
        return { rows, last: Math.min(after, end), isOld: false, pruned: 0 }
      }
      const found = yield* find.all(after, last, finishedBefore)
      const pruned = found.length === 0 ? 0 : yield* prune(found)
      const newest = yield* submittedAt.first(last)
      // Where it was just deleted, it was old.
      return { rows, last, isOld: newest === undefined || newest.submitted_at <= finishedBefore, pruned }
    })

  return {
    /** Deletes what ended before a time, in milliseconds since 1970. */
    deleteEndedAllTenants: (before: Effect.Effect<number>) => step(ended, deleteAll, before),
    /** Erases the requests that were kept of calls that ended before a time. */
    eraseKeptAllTenants: (before: Effect.Effect<number>) => step(endedWithRequest, eraseAll, before)
  }
})

/** Everything that is stored about an ended call but its messages. False when it has to stay. */
const makeDeleteCall = Effect.gen(function* () {
  const writer = yield* WriteConnection
  const outbox = yield* Outbox
  const deleteRow = writer.prepare(
    `DELETE FROM service_calls AS c WHERE rowid = ? AND tenant_id = ? AND service_call_id = ? AND tags = ?
       AND NOT EXISTS (SELECT 1 FROM dead_letters d
         WHERE d.tenant_id = c.tenant_id AND d.service_call_id = c.service_call_id)
       AND NOT EXISTS (SELECT 1 FROM execution_attempts a
         WHERE a.tenant_id = c.tenant_id AND a.service_call_id = c.service_call_id AND a.outcome IS NULL)`
  )
  const deleteTags = writer.prepare(
    `DELETE FROM service_call_tags WHERE tenant_id = ? AND accepted_at = ? AND service_call_id = ?
       AND tag IN (SELECT value FROM json_each(?))`
  )
  const deleteOthers = ["submissions", "execution_attempts", "timer_schedules"].map((table) =>
    writer.prepare(`DELETE FROM ${table} WHERE tenant_id = ? AND service_call_id = ?`)
  )

  return Effect.fnUntraced(function* ({ id, tenant_id, service_call_id, accepted_at, tags }: EndedRow) {
    const { changes } = yield* deleteRow.run(id, tenant_id, service_call_id, tags)
    if (changes === 0) return false
    if (tags !== "[]") yield* deleteTags.run(tenant_id, accepted_at, service_call_id, tags)
    for (const others of deleteOthers) yield* others.run(tenant_id, service_call_id)
    // Its messages may go later, but not a request that was kept.
    yield* outbox.eraseSealed({ tenantId: tenant_id, serviceCallId: service_call_id })
    return true
  })
})

const makeEraseKept = Effect.gen(function* () {
  const writer = yield* WriteConnection
  const outbox = yield* Outbox
  const erase = writer.prepare(
    "UPDATE service_calls SET sealed = NULL WHERE rowid = ? AND tenant_id = ? AND service_call_id = ?"
  )
  return Effect.fnUntraced(function* ({ id, tenant_id, service_call_id }: EndedRow) {
    yield* erase.run(id, tenant_id, service_call_id)
    yield* outbox.eraseSealed({ tenantId: tenant_id, serviceCallId: service_call_id })
  })
})
