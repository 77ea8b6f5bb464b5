import { EventBusPort } from "@event-service-agent/platform/event-bus"
import type { MessageDraft } from "@event-service-agent/schemas/messages/catalogue"
import { DateTime, Effect } from "effect"
import { logTimer } from "../log-timer.ts"
import { type Timer, TimerStore } from "../ports/timer-store.ts"

/** Timers that one unit fires: bounds how long the other units in the commit wait for it. */
export const FIRE_BATCH_SIZE = 128

/**
 * Fires the timers that have been due for longest, at most `FIRE_BATCH_SIZE`, as one unit. Returns when the next one is
 * due, which is in the past when the batch was too small for all.
 */
export const fireDueTimers = Effect.fn("Timer.fireDueTimers")(function* () {
  const store = yield* TimerStore
  const bus = yield* EventBusPort
  const now = yield* DateTime.now
  const due = yield* store.takeDueAcrossTenants(now, FIRE_BATCH_SIZE)
  yield* bus.publish(due.map((timer) => dueTimeReached(timer, now)))
  yield* Effect.forEach(due, (timer) => logTimer("timer fired", timer), { discard: true })
  return yield* store.earliestAcrossTenants
})

/** The passing of time is nobody's effect, so a new chain of causation starts here. */
const dueTimeReached = (timer: Timer, now: DateTime.Utc): MessageDraft<"DueTimeReached"> => ({
  type: "DueTimeReached",
  tenantId: timer.key.tenantId,
  aggregateType: "Timer",
  aggregateId: timer.key.serviceCallId,
  version: timer.version,
  timestamp: now,
  correlationId: timer.correlationId,
  causationId: null,
  payload: { dueAt: timer.dueAt, reachedAt: now }
})
