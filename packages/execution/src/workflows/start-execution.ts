import { EventBusPort } from "@event-service-agent/platform/event-bus"
import { UnitOfWork } from "@event-service-agent/platform/transaction"
import type { Message } from "@event-service-agent/schemas/messages/catalogue"
import { Clock, DateTime, Effect } from "effect"
import { annotationsOf, openAttempt, startedMessage } from "../domain/attempt.ts"
import { AttemptStore } from "../ports/attempt-store.ts"
import type { ClaimedAttempt } from "./perform-attempt.ts"

/**
 * Claims the call's attempt. The send begins once the claim is durable; a repeated message finds the work done.
 *
 * @param perform starts the send and does not wait for it
 */
export const startExecution = Effect.fn("Execution.startExecution")(function* (
  message: Message<"StartExecution">,
  processId: string,
  perform: (claimed: ClaimedAttempt) => Effect.Effect<void>
) {
  const store = yield* AttemptStore
  const bus = yield* EventBusPort
  const unit = yield* UnitOfWork
  const claimedAtNanos = yield* Clock.monotonicTimeNanos
  const attempt = openAttempt(message, processId, yield* DateTime.now)
  if (!(yield* store.claim(attempt))) return
  yield* bus.publish([startedMessage(attempt)])
  yield* Effect.annotateLogs(Effect.logDebug("claim attempt"), annotationsOf(attempt))
  const { sealed, timeoutMs } = message.payload
  unit.afterCommit(perform({ attempt, claimedAtNanos, sealed, timeoutMs }))
})
