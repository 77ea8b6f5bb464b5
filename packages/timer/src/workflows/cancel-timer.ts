import { keyOf } from "@event-service-agent/platform/outbox"
import type { Message } from "@event-service-agent/schemas/messages/catalogue"
import { Effect } from "effect"
import { logTimer } from "../log-timer.ts"
import { TimerStore } from "../ports/timer-store.ts"

/** Disarms the call's timer. Nothing happens when it has fired, or was never armed. */
export const cancelTimer = Effect.fnUntraced(function* (message: Message<"CancelTimer">) {
  const store = yield* TimerStore
  const key = keyOf(message)
  yield* store.remove(key)
  yield* logTimer("timer disarmed", { key, correlationId: message.correlationId })
})
