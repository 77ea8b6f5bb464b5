import { keyOf } from "@event-service-agent/platform/outbox"
import { TimerPort } from "@event-service-agent/platform/timer-port"
import type { Message } from "@event-service-agent/schemas/messages/catalogue"
import { DateTime, Effect, Option } from "effect"
import { eventOf, originOf } from "../domain/domain-events.ts"
import { cancel } from "../domain/service-call.ts"
import { ServiceCallRepository } from "../ports/service-call-repository.ts"
import { recordTransition } from "./record-transition.ts"
import { stopWaiting } from "./release-service-calls.ts"

/** Cancels a call that has not started. Once it runs, has ended or was pruned, the command changes nothing. */
export const cancelServiceCall = Effect.fnUntraced(function* (command: Message<"CancelServiceCall">) {
  const repository = yield* ServiceCallRepository
  const found = yield* repository.find(keyOf(command))
  if (Option.isNone(found)) return
  const call = found.value
  if (call._tag !== "Submitted" && call._tag !== "Scheduled") return

  const now = yield* DateTime.now
  const cancelled = cancel(call, command.payload.reason, now)
  yield* recordTransition(call, cancelled, [eventOf(cancelled, now, command)])
  if (call._tag === "Scheduled" && call.isDue) return yield* stopWaiting(call)
  const timer = yield* TimerPort
  yield* timer.cancel(call, originOf(cancelled, now, command))
})
