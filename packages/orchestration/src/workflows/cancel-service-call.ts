import { TimerPort } from "@event-service-agent/platform/timer-port"
import type { Message } from "@event-service-agent/schemas/messages/catalogue"
import { DateTime, Effect } from "effect"
import { eventOf, originOf } from "../domain/domain-events.ts"
import { cancel } from "../domain/service-call.ts"
import { findKept } from "./find-known.ts"
import { recordTransition } from "./record-transition.ts"
import { stopWaiting } from "./release-service-calls.ts"

/** Cancels a call that has not started. Once it runs, has ended or was pruned, the command changes nothing. */
export const cancelServiceCall = Effect.fnUntraced(function* (command: Message<"CancelServiceCall">) {
  const call = yield* findKept(command)
  if (call?._tag !== "Submitted" && call?._tag !== "Scheduled") return

  const now = yield* DateTime.now
  const cancelled = cancel(call, command.payload.reason, now)
  yield* recordTransition(call, cancelled, [eventOf(cancelled, now, command)])
  if (call._tag === "Scheduled" && call.isDue) return yield* stopWaiting(call)
  const timer = yield* TimerPort
  yield* timer.cancel(call, originOf(cancelled, now, command))
})
