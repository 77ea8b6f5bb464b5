import { EventBusPort } from "@event-service-agent/platform/event-bus"
import { logRetry, STORAGE_RETRY_MS } from "@event-service-agent/platform/storage-error"
import { Transaction, UnitOfWork } from "@event-service-agent/platform/transaction"
import type { TenantId } from "@event-service-agent/schemas/ids"
import { toMillis } from "@event-service-agent/schemas/time"
import { type Cause, Clock, type DateTime, Effect, Latch, Layer, Option } from "effect"
import { cancelTimer } from "./workflows/cancel-timer.ts"
import { fireDueTimers } from "./workflows/fire-due-timers.ts"
import { scheduleTimer } from "./workflows/schedule-timer.ts"

/**
 * The longest sleep, and so the lateness that a clock jumping forward can cause. Far below 2^31 ms, beyond which a
 * timeout fires at once.
 */
export const SWEEP_INTERVAL_MS = 5_000

/**
 * The timer module: arms and disarms timers as it is told, and publishes `DueTimeReached` for each one that is due,
 * never before its time by this process's clock. Timers that became due while nothing ran fire at the start.
 */
export const layer = Layer.effectDiscard(
  Effect.gen(function* () {
    const bus = yield* EventBusPort
    const transaction = yield* Transaction
    const earlierArmed = yield* Latch.make()
    /**
     * No timer is due before this, in milliseconds since 1970. Only hooks after a commit change it: they run in the
     * order of the commits, so it never misses a timer. The first turn looks for what is overdue.
     */
    let nextDueAt = Number.NEGATIVE_INFINITY

    let lastServed: TenantId | null = null

    const afterCommit = (hook: () => void) => Effect.map(UnitOfWork, (unit) => unit.afterCommit(Effect.sync(hook)))

    const noteArmed = (dueAt: DateTime.Utc) =>
      afterCommit(() => {
        if (toMillis(dueAt) >= nextDueAt) return
        nextDueAt = toMillis(dueAt)
        earlierArmed.openUnsafe()
      })

    const fire = Effect.gen(function* () {
      const { next, served } = yield* fireDueTimers(lastServed)
      yield* afterCommit(() => {
        lastServed = served
        nextDueAt = Option.match(next, { onNone: () => Number.POSITIVE_INFINITY, onSome: toMillis })
      })
    })

    const turn = Effect.gen(function* () {
      earlierArmed.closeUnsafe()
      const pauseMs = Math.min(nextDueAt - (yield* Clock.currentTimeMillis), SWEEP_INTERVAL_MS)
      if (pauseMs > 0 && Option.isSome(yield* Effect.timeoutOption(earlierArmed.await, pauseMs))) return
      yield* transaction.run(fire)
    }).pipe(Effect.catchCause(reportAndPause))

    yield* bus.subscribe("timer", {
      ScheduleTimer: (message) => Effect.andThen(scheduleTimer(message), noteArmed(message.payload.dueAt)),
      CancelTimer: cancelTimer
    })
    yield* Effect.forkScoped(Effect.forever(turn))
  })
)

/** A timer that stopped would be a silent loss of every call to come: whatever goes wrong, the next turn tries again. */
const reportAndPause = Effect.fnUntraced(function* (cause: Cause.Cause<unknown>) {
  yield* logRetry("firing due timers failed, they will be tried again", cause)
  yield* Effect.sleep(STORAGE_RETRY_MS)
})
