import { statSync } from "node:fs"
import { logRetry } from "@event-service-agent/platform/storage-error"
import { Transaction } from "@event-service-agent/platform/transaction"
import { CONSUMERS } from "@event-service-agent/schemas/envelope"
import { Clock, Effect, Layer, Metric, Option } from "effect"
import { ReadConnection } from "./database.ts"

/** How old a figure may be that has to be looked up. */
export const LOOK_INTERVAL_MS = 5_000

const gauge = (name: string, description: string) => Metric.gauge(`esa_${name}`, { description })

const calls = gauge("service_calls", "Calls that have not ended: armed, due (waiting for a place) and running")
const overdue = gauge("timers_overdue", "Timers whose time has come and that have not fired")
const oldestOverdue = gauge("timers_oldest_overdue_age_seconds", "How long ago the timer that is overdue most was due")
const refusing = gauge("storage_refusing", "1 while the storage refuses to write, otherwise 0")
const oldestDue = gauge(
  "service_calls_oldest_due_age_seconds",
  "How long the call that was due first has waited for a place"
)
const unhandled = gauge("messages_unhandled", "Messages that a consumer has yet to handle")
const oldestUnhandled = gauge(
  "messages_oldest_unhandled_age_seconds",
  "Age of the oldest message that waits for a consumer"
)
const deadLetters = gauge("dead_letters", "Messages that a consumer gave up")
const bytes = gauge("database_bytes", "Size of the database file and of its write-ahead log")

interface Counted {
  readonly count: number
}

/** Looks up what nobody counts: how much waits, and how large the files are. Crosses tenants. */
export const layer = Layer.effectDiscard(
  Effect.gen(function* () {
    const reader = yield* ReadConnection
    const transaction = yield* Transaction
    const counting = (sql: string) => {
      const statement = reader.prepare<Counted>(sql)
      return (...bindings: ReadonlyArray<string | number>) =>
        Effect.map(statement.first(...bindings), (row) => row?.count ?? 0)
    }
    // There may be a million of them: what is counted already need not be counted again.
    const countScheduled = counting(
      `SELECT coalesce(sum(calls), 0) AS count FROM service_call_counts WHERE kind = 'status' AND name = 'Scheduled'`
    )
    const countDue = counting("SELECT count(*) AS count FROM service_calls WHERE is_due = 1")
    const countRunning = counting("SELECT count(*) AS count FROM service_calls WHERE status = 'Running'")
    const overdueMost = reader.prepare<{ readonly at: number | null }>(
      "SELECT min(due_at) AS at FROM timer_schedules WHERE due_at <= ?"
    )
    const countOverdue = counting("SELECT count(*) AS count FROM timer_schedules WHERE due_at <= ?")
    const countUnhandled = counting("SELECT count(*) AS count FROM deliveries WHERE consumer = ?")
    const countDead = counting("SELECT count(*) AS count FROM dead_letters WHERE consumer = ?")
    const oldest = reader.prepare<{ readonly at: number | null }>(
      `SELECT o.timestamp AS at FROM outbox o WHERE o.seq = (SELECT min(seq) FROM deliveries WHERE consumer = ?)`
    )
    const dueFirst = reader.prepare<{ readonly at: number | null }>(
      "SELECT min(due_at) AS at FROM service_calls WHERE is_due = 1"
    )
    const ageOf = (now: number, at: number | null | undefined) => (at == null ? 0 : Math.max(0, now - at) / 1_000)

    const look = Effect.gen(function* () {
      // Before it reads, which may fail then.
      yield* Metric.update(refusing, Option.isSome(yield* transaction.refusal) ? 1 : 0)
      const now = yield* Clock.currentTimeMillis
      const set = (metric: typeof calls, attributes: Readonly<Record<string, string>>, value: number) =>
        Metric.update(Metric.withAttributes(metric, attributes), value)
      const due = yield* countDue()
      yield* set(calls, { state: "armed" }, (yield* countScheduled()) - due)
      yield* set(calls, { state: "due" }, due)
      yield* set(calls, { state: "running" }, yield* countRunning())
      yield* Metric.update(overdue, yield* countOverdue(now))
      yield* Metric.update(oldestOverdue, ageOf(now, (yield* overdueMost.first(now))?.at))
      yield* Metric.update(oldestDue, ageOf(now, (yield* dueFirst.first())?.at))
      for (const consumer of CONSUMERS) {
        yield* set(unhandled, { consumer }, yield* countUnhandled(consumer))
        yield* set(oldestUnhandled, { consumer }, ageOf(now, (yield* oldest.first(consumer))?.at))
        yield* set(deadLetters, { consumer }, yield* countDead(consumer))
      }
      const { filename } = reader.database
      yield* set(bytes, { file: "database" }, sizeOf(filename))
      yield* set(bytes, { file: "wal" }, sizeOf(`${filename}-wal`))
    })
    yield* look.pipe(
      Effect.catchCause((cause) => logRetry("figures for the metrics could not be read", cause)),
      Effect.andThen(Effect.sleep(LOOK_INTERVAL_MS)),
      Effect.forever,
      Effect.forkScoped
    )
  })
)

const sizeOf = (path: string): number => statSync(path, { throwIfNoEntry: false })?.size ?? 0
