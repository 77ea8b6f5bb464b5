import { Transaction, UnitOfWork } from "@event-service-agent/platform/transaction"
import { Clock, DateTime, Effect } from "effect"
import { attemptAgain, type Lease, type OpenAttempt, outcomeUnknown } from "../domain/attempt.ts"
import { AttemptStore } from "../ports/attempt-store.ts"
import { claimAttempt } from "./claim-attempt.ts"
import { endAttempt } from "./end-attempt.ts"
import { endPerforming, isPerforming, leasesOver, type Performing } from "./performing.ts"
import type { Perform } from "./start-execution.ts"

/** Attempts that one unit of work ends. */
export const SWEEP_BATCH_SIZE = 100

/**
 * Ends the attempts of all tenants that nobody will end any more: those past their deadline, those whose executor has
 * not reported in time, and those of a process that is gone. Whether their request was sent, nobody can tell: a call
 * that allows for it gets another attempt, and of any other the outcome says so.
 */
export const endOverdueAttempts = Effect.fnUntraced(function* (
  processId: string,
  performing: Performing,
  perform: Perform
) {
  const transaction = yield* Transaction
  const store = yield* AttemptStore
  const endLost = Effect.fnUntraced(function* (attempt: OpenAttempt, now: DateTime.Utc) {
    const unknown = outcomeUnknown(attempt, processId, now)
    const again = attemptAgain(attempt, processId, now)
    const sealed = attempt.sealedForResend
    if (again === undefined) yield* endAttempt(attempt, unknown)
    else if (yield* store.close(attempt.key, attempt.number, unknown)) {
      yield* claimAttempt(again, (claimedAtNanos) => perform({ attempt: again, claimedAtNanos, sealed }))
    }
  })
  const openOf = ({ key, number }: Lease) =>
    Effect.map(store.attemptsOf(key), (recorded) =>
      recorded.flatMap(({ attempt, outcome }) => (attempt.number === number && outcome === null ? [attempt] : []))
    )
  const endBatch = Effect.gen(function* () {
    const unit = yield* UnitOfWork
    const now = yield* DateTime.now
    const overdue = yield* store.overdueOfAllTenants(now, processId, SWEEP_BATCH_SIZE)
    const nowNanos = yield* Clock.monotonicTimeNanos
    const lost = overdue.filter((attempt) => !isPerforming(performing, attempt, nowNanos))
    for (const attempt of lost) yield* endLost(attempt, now)
    // By their lease alone: the clock of the day, by which deadlines are stored, may have been set back.
    const leases = leasesOver(performing, nowNanos, SWEEP_BATCH_SIZE)
    for (const lease of leases) {
      for (const attempt of yield* openOf(lease)) yield* endLost(attempt, now)
      unit.afterCommit(Effect.sync(() => endPerforming(performing, lease)))
    }
    return (overdue.length === SWEEP_BATCH_SIZE && lost.length > 0) || leases.length === SWEEP_BATCH_SIZE
  })
  while (yield* transaction.run(endBatch)) {}
})
