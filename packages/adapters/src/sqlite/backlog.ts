import { Effect } from "effect"
import { ReadConnection } from "./database.ts"

/**
 * One of the sealed requests that will be opened, of whatever tenant: shows which key seals them. Each place is asked
 * through an index of what still waits, so that the start does not go through all calls.
 */
export const anySealedRequest = Effect.gen(function* () {
  const reader = yield* ReadConnection
  for (const sql of SEALED_REQUESTS) {
    const row = yield* reader.prepare<{ readonly sealed: Uint8Array }>(`${sql} LIMIT 1`).first()
    if (row !== undefined) return row.sealed
  }
  return undefined
})
const SEALED_REQUESTS = [
  "SELECT sealed FROM outbox WHERE sealed IS NOT NULL",
  `SELECT c.sealed FROM timer_schedules t CROSS JOIN service_calls c USING (tenant_id, service_call_id)
   WHERE c.sealed IS NOT NULL`,
  "SELECT sealed FROM service_calls WHERE is_due = 1 AND sealed IS NOT NULL",
  ...["deliveries", "dead_letters"].map(
    (table) => `SELECT c.sealed FROM ${table} w CROSS JOIN service_calls c USING (tenant_id, service_call_id)
      WHERE c.sealed IS NOT NULL`
  ),
  `SELECT sealed_for_resend AS sealed FROM execution_attempts
   WHERE outcome IS NULL AND sealed_for_resend IS NOT NULL`
]

/** How much work is stored, over all tenants: for the start banner. */
export const countBacklog = Effect.gen(function* () {
  const reader = yield* ReadConnection
  const count = (sql: string) =>
    Effect.map(reader.prepare<{ readonly calls: number }>(sql).first(), (row) => row?.calls ?? 0)
  return {
    armedTimers: yield* count("SELECT count(*) AS calls FROM timer_schedules"),
    dueCalls: yield* count("SELECT count(*) AS calls FROM service_calls WHERE is_due = 1"),
    runningCalls: yield* count("SELECT count(*) AS calls FROM service_calls WHERE status = 'Running'")
  }
})
