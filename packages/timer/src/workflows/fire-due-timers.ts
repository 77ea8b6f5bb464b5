import { EventBusPort } from "@event-service-agent/platform/event-bus"
import { callAttributes, spanInUnit, Tracing } from "@event-service-agent/platform/tracing"
import type { TenantId } from "@event-service-agent/schemas/ids"
import type { MessageDraft } from "@event-service-agent/schemas/messages/catalogue"
import { toMillis } from "@event-service-agent/schemas/time"
import { DateTime, Effect } from "effect"
import { logTimer } from "../log-timer.ts"
import { type Timer, TimerStore } from "../ports/timer-store.ts"

/** Timers that one unit fires, each with the release and the claim that follow: bounds how long others wait for it. */
export const FIRE_BATCH_SIZE = 64

/** What a unit fires on top when more timers are due than it can fire: a few of each tenant, in turn. */
export const FAIR_SHARE = { tenants: 16, timers: 4 }

/**
 * Fires the timers that have been due for longest, at most `FIRE_BATCH_SIZE`, as one unit. When more are due, the
 * tenants take turns as well: one with few timers does not wait for those of one with many.
 *
 * @param lastServed the tenant that had the latest turn, `null` before the first
 * @returns when the next timer is due, which is in the past when the unit was too small for all, and who had a turn
 */
export const fireDueTimers = Effect.fnUntraced(function* (lastServed: TenantId | null) {
  const store = yield* TimerStore
  const bus = yield* EventBusPort
  const now = yield* DateTime.now
  const oldest = yield* store.takeDueAcrossTenants(now, FIRE_BATCH_SIZE)
  const fair =
    oldest.length < FIRE_BATCH_SIZE
      ? { timers: [], last: lastServed }
      : yield* store.takeDueOfNextTenants(lastServed, now, FAIR_SHARE)
  const due = [...oldest, ...fair.timers]
  if (yield* Tracing) yield* Effect.forEach(due, (timer) => fireInSpan(timer, now), { discard: true })
  else yield* bus.publish(due.map((timer) => dueTimeReached(timer, now)))
  yield* Effect.forEach(due, (timer) => logTimer("timer fired", timer), { discard: true })
  return { next: yield* store.earliestAcrossTenants, served: fair.last }
})

/** What was before the wait, is before this, too. */
const fireInSpan = Effect.fnUntraced(function* (timer: Timer, now: DateTime.Utc) {
  const bus = yield* EventBusPort
  const { key, correlationId, traceparent } = timer
  yield* spanInUnit(bus.publish([dueTimeReached(timer, now)]), "timer fire", {
    kind: "producer",
    traceparent,
    isAfterWait: true,
    attributes: {
      ...callAttributes(key, correlationId),
      "esa.due_at": DateTime.formatIso(timer.dueAt),
      "esa.late_ms": toMillis(now) - toMillis(timer.dueAt)
    }
  })
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
