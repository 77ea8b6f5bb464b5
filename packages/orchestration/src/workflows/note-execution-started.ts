import type { Message } from "@event-service-agent/schemas/messages/catalogue"
import { Effect } from "effect"
import { noteAttempt } from "../domain/service-call.ts"
import { ServiceCallRepository } from "../ports/service-call-repository.ts"
import { findKnown } from "./find-known.ts"

/** Execution has claimed an attempt: the call's detail shows it. An older attempt never replaces a newer one. */
export const noteExecutionStarted = Effect.fnUntraced(function* (event: Message<"ExecutionStarted">) {
  const call = yield* findKnown(event)
  const { attempt: number, startedAt } = event.payload
  if (call._tag !== "Running" || (call.attempt !== null && call.attempt.number >= number)) return
  const repository = yield* ServiceCallRepository
  yield* repository.update(call, noteAttempt(call, { number, startedAt }))
})
