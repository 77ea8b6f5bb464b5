import { EventBusPort } from "@event-service-agent/platform/event-bus"
import { UnitOfWork } from "@event-service-agent/platform/transaction"
import { DateTime, Effect } from "effect"
import { type AttemptOutcome, type OpenAttempt, outcomeMessage } from "../domain/attempt.ts"
import { countOutcome } from "../metrics.ts"
import { AttemptStore } from "../ports/attempt-store.ts"

/** Ends the attempt and says so. False, and nothing said, when it had ended before. */
export const endAttempt = Effect.fnUntraced(function* (attempt: OpenAttempt, outcome: AttemptOutcome) {
  const store = yield* AttemptStore
  if (!(yield* store.close(attempt.key, attempt.number, outcome))) return false
  const bus = yield* EventBusPort
  const unit = yield* UnitOfWork
  unit.afterCommit(countOutcome(attempt, outcome))
  yield* bus.publish([outcomeMessage(attempt, outcome, yield* DateTime.now)])
  return true
})
