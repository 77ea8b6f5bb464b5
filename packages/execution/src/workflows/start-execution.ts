import { EventBusPort } from "@event-service-agent/platform/event-bus"
import { UnitOfWork } from "@event-service-agent/platform/transaction"
import type { SealedRequest } from "@event-service-agent/schemas/http-request"
import type { Message } from "@event-service-agent/schemas/messages/catalogue"
import { Clock, DateTime, Effect, LogLevel } from "effect"
import { annotationsOf, type OpenAttempt, openAttempt, startedMessage } from "../domain/attempt.ts"
import { AttemptStore } from "../ports/attempt-store.ts"
import type { ClaimedAttempt } from "./perform-attempt.ts"

/** Starts the send of a claimed attempt and does not wait for it. */
export type Perform = (claimed: ClaimedAttempt) => Effect.Effect<void>

/** Claims the call's attempt. The send begins once the claim is durable; a repeated message finds the work done. */
export const startExecution = Effect.fnUntraced(function* (
  message: Message<"StartExecution">,
  processId: string,
  perform: Perform
) {
  yield* claimAttempt(openAttempt(message, processId, yield* DateTime.now), message.payload.sealed, perform)
})

/** Claims an attempt in the unit that decided on it, and lets its send begin once that is durable. */
export const claimAttempt = Effect.fnUntraced(function* (
  attempt: OpenAttempt,
  sealed: SealedRequest,
  perform: Perform
) {
  const store = yield* AttemptStore
  const bus = yield* EventBusPort
  const unit = yield* UnitOfWork
  const claimedAtNanos = yield* Clock.monotonicTimeNanos
  if (!(yield* store.claim(attempt))) return
  yield* bus.publish([startedMessage(attempt)])
  if (yield* LogLevel.isEnabled("Debug"))
    yield* Effect.annotateLogs(Effect.logDebug("claim attempt"), annotationsOf(attempt))
  unit.afterCommit(perform({ attempt, claimedAtNanos, sealed }))
})
