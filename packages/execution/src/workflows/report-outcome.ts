import { Transaction, UnitOfWork } from "@event-service-agent/platform/transaction"
import type { ServiceCallKey } from "@event-service-agent/schemas/ids"
import { Clock, Effect, Schema } from "effect"
import { AttemptOutcome } from "../domain/attempt.ts"
import { AttemptStore } from "../ports/attempt-store.ts"
import { endAttempt } from "./end-attempt.ts"
import { endPerforming, holdRefused, type Performing } from "./performing.ts"

/**
 * Records what became of an executor's attempt; it is durable when this returns. What comes after the end is kept as
 * evidence. False when the executor has no such attempt.
 *
 * @param traceparent of the send, if the executor exported it
 */
export const reportOutcome = Effect.fnUntraced(function* (
  key: ServiceCallKey,
  number: number,
  executorId: string,
  outcome: AttemptOutcome,
  performing: Performing,
  traceparent?: string
) {
  const transaction = yield* Transaction
  const store = yield* AttemptStore
  const record = Effect.gen(function* () {
    const unit = yield* UnitOfWork
    const found = (yield* store.attemptsOf(key)).find(
      ({ attempt }) => attempt.number === number && attempt.isRemote && attempt.processId === executorId
    )
    if (found === undefined) return false
    if (found.outcome === null) {
      yield* endAttempt(traceparent === undefined ? found.attempt : { ...found.attempt, traceparent }, outcome)
      unit.afterCommit(Effect.sync(() => endPerforming(performing, found.attempt)))
    } else if (found.evidence === null && !isSame(found.outcome, outcome)) {
      yield* store.keepEvidence(key, number, outcome)
    }
    return true
  })
  return yield* Effect.tapError(transaction.run(record), () =>
    Effect.map(Clock.monotonicTimeNanos, (nowNanos) => holdRefused(performing, { key, number }, executorId, nowNanos))
  )
})

const isSame = Schema.toEquivalence(AttemptOutcome)
