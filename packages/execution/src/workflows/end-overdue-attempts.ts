import { Transaction, UnitOfWork } from "@event-service-agent/platform/transaction"
import { Clock, DateTime, Effect } from "effect"
import { attemptAgain, outcomeUnknown } from "../domain/attempt.ts"
import { AttemptStore } from "../ports/attempt-store.ts"
import { endAttempt } from "./end-attempt.ts"
import { endPerforming, isPerforming, type Performing } from "./perform-attempt.ts"
import { claimAttempt, type Perform } from "./start-execution.ts"

/** Attempts that one unit of work ends. */
export const SWEEP_BATCH_SIZE = 100

/**
 * Ends the attempts of all tenants that nobody will end any more: those past their deadline, and those of a process
 * that is gone. Whether their request was sent, nobody can tell: a call that allows for it gets another attempt, and of
 * any other the outcome says so.
 */
export const endOverdueAttempts = Effect.fnUntraced(function* (
  processId: string,
  performing: Performing,
  perform: Perform
) {
  const transaction = yield* Transaction
  const store = yield* AttemptStore
  const endBatch = Effect.gen(function* () {
    const unit = yield* UnitOfWork
    const now = yield* DateTime.now
    const overdue = yield* store.overdueOfAllTenants(now, processId, SWEEP_BATCH_SIZE)
    const nowNanos = yield* Clock.monotonicTimeNanos
    const lost = overdue.filter((attempt) => !isPerforming(performing, attempt, nowNanos))
    for (const attempt of lost) {
      const unknown = outcomeUnknown(attempt, processId, now)
      const again = attemptAgain(attempt, processId, now)
      if (again === undefined) yield* endAttempt(attempt, unknown)
      else if (yield* store.close(attempt.key, attempt.number, unknown)) {
        yield* claimAttempt(again, attempt.sealedForResend, perform)
      }
      unit.afterCommit(Effect.sync(() => endPerforming(performing, attempt)))
    }
    return overdue.length === SWEEP_BATCH_SIZE && lost.length > 0
  })
  while (yield* transaction.run(endBatch)) {}
})
