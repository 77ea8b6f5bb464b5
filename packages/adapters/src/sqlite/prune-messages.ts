import { Transaction } from "@event-service-agent/platform/transaction"
import type { ServiceCallId, TenantId } from "@event-service-agent/schemas/ids"
import type { MessageType } from "@event-service-agent/schemas/messages/catalogue"
import { Effect } from "effect"
import { ReadConnection, WriteConnection } from "./database.ts"
import { inUnits, type SweepLimits } from "./sweep.ts"
import { makeUnhandled } from "./unhandled.ts"

interface MessageRow {
  readonly seq: number
  readonly type: MessageType
  readonly tenant_id: TenantId
  readonly service_call_id: ServiceCallId
  readonly timestamp: number
  readonly bytes: number
  readonly has_sealed: 0 | 1
}

/** A message that may go, and what goes with it. */
interface Expired extends MessageRow {
  /** Of no call, and never will be: its command was given up. */
  readonly hasLostSubmission: boolean
}

/** Times in milliseconds since 1970. */
export interface MessageAges {
  /** Messages written before may go. */
  readonly writtenBefore: number
  /** So may those of calls that are gone, and what is left of a submission that never became a call. */
  readonly goneBefore: number
}

/** Steps over the messages of all tenants in the order in which they were written. */
export const makePruneMessages = Effect.fnUntraced(function* (limits: SweepLimits) {
  const reader = yield* ReadConnection
  const writer = yield* WriteConnection
  const transaction = yield* Transaction
  const unhandled = makeUnhandled(writer)
  const page = reader.prepare<MessageRow>(
    `SELECT seq, type, tenant_id, service_call_id, timestamp, sealed IS NOT NULL AS has_sealed,
       octet_length(payload) + coalesce(octet_length(sealed), 0) AS bytes
     FROM outbox WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?`
  )
  const call = reader.prepare<{ readonly has_ended: 0 | 1 }>(
    `SELECT status IN ('Succeeded', 'Failed', 'Cancelled') AS has_ended
     FROM service_calls WHERE tenant_id = ? AND service_call_id = ?`
  )
  const submission = reader.prepare<{ readonly accepted_at: number }>(
    "SELECT accepted_at FROM submissions WHERE tenant_id = ? AND service_call_id = ?"
  )
  const deleteMessages = writer.prepare("DELETE FROM outbox WHERE seq IN (SELECT value FROM json_each(?))")
  const deleteSubmission = writer.prepare(
    `DELETE FROM submissions AS s WHERE tenant_id = ? AND service_call_id = ? AND accepted_at = ? AND NOT EXISTS (
       SELECT 1 FROM service_calls c WHERE c.tenant_id = s.tenant_id AND c.service_call_id = s.service_call_id)`
  )

  /** What becomes of a message once it is handled. */
  const judge = Effect.fnUntraced(function* (row: MessageRow, { writtenBefore, goneBefore }: MessageAges) {
    const expired: Expired = { ...row, hasLostSubmission: false }
    const isOld = row.timestamp <= writtenBefore
    if (isOld && row.has_sealed === 0 && row.type !== "SubmitServiceCall") return expired

    const known = yield* call.first(row.tenant_id, row.service_call_id)
    // Until the call ends, its sealed request stays: at the start it shows that the key is the right one.
    if (known !== undefined) return isOld && (row.has_sealed === 0 || known.has_ended === 1) ? expired : undefined

    const accepted = yield* submission.first(row.tenant_id, row.service_call_id)
    const isItsOwn = row.type === "SubmitServiceCall" && accepted?.accepted_at === row.timestamp
    if (isItsOwn) return row.timestamp <= goneBefore ? { ...expired, hasLostSubmission: true } : undefined
    return isOld || (accepted === undefined && row.timestamp <= goneBefore) ? expired : undefined
  })

  const deleteUnit = Effect.fnUntraced(function* (unit: ReadonlyArray<Expired>) {
    const seqs = unit.map(({ seq }) => seq)
    const waiting = yield* unhandled.seqsBetween(Math.min(...seqs), Math.max(...seqs))
    const handled = unit.filter(({ seq }) => !waiting.has(seq))
    if (handled.length === 0) return 0
    for (const row of handled) {
      if (row.hasLostSubmission) yield* deleteSubmission.run(row.tenant_id, row.service_call_id, row.timestamp)
    }
    const { changes } = yield* deleteMessages.run(JSON.stringify(handled.map(({ seq }) => seq)))
    return changes
  })

  /**
   * Deletes messages that every consumer has handled.
   *
   * @param frontBefore how old a message has to be so that it is looked at
   */
  const pruneHandledAllTenants = (ages: Effect.Effect<MessageAges & { readonly frontBefore: number }>) =>
    Effect.fnUntraced(function* (after: number, upTo: number) {
      const now = yield* ages
      const rows = yield* page.all(after, upTo, limits.rows)
      const last = rows.at(-1)
      if (last === undefined) return { rows: 0, last: after, isOld: false, pruned: 0 }
      const expired: Array<Expired> = []
      for (const row of rows) {
        const verdict = row.timestamp <= now.frontBefore ? yield* judge(row, now) : undefined
        if (verdict !== undefined) expired.push(verdict)
      }
      let pruned = 0
      for (const unit of inUnits(expired, limits.messagesPerUnit, limits.bytesPerUnit)) {
        pruned += yield* transaction.run(deleteUnit(unit))
        yield* Effect.sleep(limits.pauseMs)
      }
      return { rows: rows.length, last: last.seq, isOld: last.timestamp <= now.frontBefore, pruned }
    })
  return { pruneHandledAllTenants }
})
