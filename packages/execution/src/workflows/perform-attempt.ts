import { retryStorage } from "@event-service-agent/platform/storage-error"
import { Transaction } from "@event-service-agent/platform/transaction"
import { Effect, Option } from "effect"
import { type AttemptOutcome, annotationsOf, type OpenAttempt } from "../domain/attempt.ts"
import { AttemptStore } from "../ports/attempt-store.ts"
import { endAttempt } from "./end-attempt.ts"
import { beginPerforming, endPerforming, holdResult, type Performing } from "./performing.ts"
import type { ClaimedAttempt } from "./send-attempt.ts"
import { sendInSpan } from "./send-in-span.ts"

/** Sends the request, once, and records what came of it, however long the storage refuses. */
export const performAttempt = Effect.fnUntraced(
  function* (claimed: ClaimedAttempt, performing: Performing) {
    const { attempt, outcome } = yield* sendInSpan(claimed)
    if (Option.isNone(outcome)) return
    holdResult(performing, attempt)
    yield* record(attempt, outcome.value)
    endPerforming(performing, attempt)
  },
  // Whatever goes wrong, the sweep ends the attempt when its lease is over.
  (effect, { attempt, claimedAtNanos }, performing) =>
    Effect.onError(effect, () => Effect.sync(() => beginPerforming(performing, attempt, claimedAtNanos))),
  (effect, { attempt }) => Effect.annotateLogs(effect, annotationsOf(attempt))
)

const record = Effect.fnUntraced(function* (attempt: OpenAttempt, result: AttemptOutcome) {
  const transaction = yield* Transaction
  const store = yield* AttemptStore
  const unit = Effect.gen(function* () {
    const isFirst = yield* endAttempt(attempt, result)
    if (!isFirst) yield* store.keepEvidence(attempt.key, attempt.number, result)
  })
  yield* retryStorage(transaction.run(unit))
})
