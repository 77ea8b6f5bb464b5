import { keyOf } from "@event-service-agent/platform/outbox"
import { currentTraceparent } from "@event-service-agent/platform/tracing"
import type { Message } from "@event-service-agent/schemas/messages/catalogue"
import { DateTime, Effect } from "effect"
import { logTimer } from "../log-timer.ts"
import { TimerStore } from "../ports/timer-store.ts"

/** Arms the call's timer, or moves it. Repeated while the timer is armed, it changes nothing. */
export const scheduleTimer = Effect.fnUntraced(function* (message: Message<"ScheduleTimer">) {
  const store = yield* TimerStore
  const { version, correlationId } = message
  const traceparent = yield* currentTraceparent
  const traced = traceparent === undefined ? {} : { traceparent }
  const timer = { key: keyOf(message), dueAt: message.payload.dueAt, version, correlationId, ...traced }
  yield* store.upsert(timer)
  yield* logTimer(`timer armed for ${DateTime.formatIso(timer.dueAt)}`, timer)
})
