import type { Message } from "@event-service-agent/schemas/messages/catalogue"
import { DateTime, Effect, Schema } from "effect"
import { eventOf } from "../domain/domain-events.ts"
import { fail, isEnded, succeed } from "../domain/service-call.ts"
import { findKnown } from "./find-known.ts"
import { recordTransition } from "./record-transition.ts"
import { freePlace } from "./release-service-calls.ts"

/** An outcome came for a call that is not running. It is tried again rather than lost. */
export class OutcomeBeforeStart extends Schema.TaggedError<OutcomeBeforeStart>()("OutcomeBeforeStart", {
  status: Schema.String
}) {
  override get message(): string {
    return `an outcome came while the call was ${this.status}`
  }
}

/** Execution has the outcome. The first one ends the call and frees its place. */
export const finishServiceCall = Effect.fnUntraced(function* (
  event: Message<"ExecutionSucceeded" | "ExecutionFailed">
) {
  const call = yield* findKnown(event)
  if (isEnded(call)) return // a repeated message, or a later result
  if (call._tag !== "Running") return yield* new OutcomeBeforeStart({ status: call._tag })

  const now = yield* DateTime.now
  const ended =
    event.type === "ExecutionSucceeded"
      ? succeed(call, { sentAt: event.payload.sentAt, response: event.payload.responseMeta }, now)
      : fail(call, { sentAt: event.payload.sentAt, error: event.payload.errorMeta }, now)
  yield* recordTransition(call, ended, [eventOf(ended, now, event)])
  yield* freePlace(ended)
})
