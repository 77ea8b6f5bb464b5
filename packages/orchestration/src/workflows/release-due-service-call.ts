import { TimerPort } from "@event-service-agent/platform/timer-port"
import type { Message } from "@event-service-agent/schemas/messages/catalogue"
import { DateTime, Effect } from "effect"
import { originOf } from "../domain/domain-events.ts"
import { ServiceCallRepository } from "../ports/service-call-repository.ts"
import { findKnown } from "./find-known.ts"
import { recordTransition } from "./record-transition.ts"
import { releaseOrWait } from "./release-service-calls.ts"

/** The timer says that a call's due time has come. Not by this clock? Then the timer is armed again. */
export const releaseDueServiceCall = Effect.fnUntraced(function* (event: Message<"DueTimeReached">) {
  const call = yield* findKnown(event)
  if (call._tag !== "Scheduled" || call.isDue) return // cancelled in the meantime, or a repeated message

  const now = yield* DateTime.now
  if (DateTime.isLessThan(now, call.dueAt)) {
    const timer = yield* TimerPort
    return yield* timer.schedule(call, call.dueAt, originOf(call, now, event))
  }
  const release = yield* releaseOrWait(call, now, event)
  if (release.call._tag === "Running") return yield* recordTransition(call, release.call, release.messages)
  const repository = yield* ServiceCallRepository
  yield* repository.update(call, release.call)
})
