import { Effect } from "effect"
import { ReadConnection } from "./database.ts"

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
