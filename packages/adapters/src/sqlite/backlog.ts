import { Effect } from "effect"
import { ReadConnection } from "./database.ts"

/** One of the sealed requests that are stored, of whatever tenant: shows which key seals them. */
export const anySealedRequest = Effect.gen(function* () {
  const reader = yield* ReadConnection
  const row = yield* reader
    .prepare<{ readonly sealed: Uint8Array }>("SELECT sealed FROM outbox WHERE sealed IS NOT NULL LIMIT 1")
    .first()
  return row?.sealed
})

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
