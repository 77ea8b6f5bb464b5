import { EventBusPort } from "@event-service-agent/platform/event-bus"
import { UnitOfWork } from "@event-service-agent/platform/transaction"
import { Clock, Effect, LogLevel } from "effect"
import { annotationsOf, type OpenAttempt, startedMessage } from "../domain/attempt.ts"
import { AttemptStore } from "../ports/attempt-store.ts"

/**
 * Claims an attempt in the unit that decided on it, and says so. False, and nothing said, when the call has one of this
 * number.
 *
 * @param begin runs once the claim is durable, with the time just before it on the monotonic clock
 */
export const claimAttempt = Effect.fnUntraced(function* (
  attempt: OpenAttempt,
  begin: (claimedAtNanos: bigint) => Effect.Effect<void>
) {
  const store = yield* AttemptStore
  const bus = yield* EventBusPort
  const unit = yield* UnitOfWork
  const claimedAtNanos = yield* Clock.monotonicTimeNanos
  if (!(yield* store.claim(attempt))) return false
  yield* bus.publish([startedMessage(attempt)])
  if (yield* LogLevel.isEnabled("Debug"))
    yield* Effect.annotateLogs(Effect.logDebug("claim attempt"), annotationsOf(attempt))
  unit.afterCommit(begin(claimedAtNanos))
  return true
})
