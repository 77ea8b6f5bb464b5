import { HttpClientPort } from "@event-service-agent/platform/http-client-port"
import { RequestUnreadable, RequestVault } from "@event-service-agent/platform/request-vault"
import { retryStorage } from "@event-service-agent/platform/storage-error"
import { Transaction } from "@event-service-agent/platform/transaction"
import type { RequestSpec, SealedRequest } from "@event-service-agent/schemas/http-request"
import { Clock, DateTime, Effect, Option } from "effect"
import {
  type AttemptOutcome,
  annotationsOf,
  answered,
  leaseMs,
  type OpenAttempt,
  requestUnreadable,
  sendFailed,
  sendTimeoutMs
} from "../domain/attempt.ts"
import { AttemptStore } from "../ports/attempt-store.ts"
import { endAttempt } from "./end-attempt.ts"

/** An attempt whose claim is durable, with what it takes to perform it. */
export interface ClaimedAttempt {
  readonly attempt: OpenAttempt
  /** Just before the claim, on the monotonic clock. */
  readonly claimedAtNanos: bigint
  readonly sealed: SealedRequest
}

/**
 * The attempts of this process that are open, each with the end of its lease on the monotonic clock: until then the
 * sweep leaves it alone, whatever the clock of the day says. A result that only waits for the storage has no end.
 */
export type Performing = Map<string, bigint | typeof RESULT_KNOWN>

const RESULT_KNOWN = Symbol("result known")

/** Whether an attempt that looks overdue is still this process's to end. */
export const isPerforming = (performing: Performing, attempt: OpenAttempt, nowNanos: bigint): boolean => {
  const leaseEnd = performing.get(nameOf(attempt))
  return leaseEnd === RESULT_KNOWN || (leaseEnd !== undefined && nowNanos < leaseEnd)
}

/** From now on the sweep leaves the attempt to this process, for as long as its lease lasts. */
export const beginPerforming = (performing: Performing, { attempt, claimedAtNanos }: ClaimedAttempt): void => {
  performing.set(nameOf(attempt), claimedAtNanos + BigInt(leaseMs(attempt)) * 1_000_000n)
}

/** The attempt has ended. */
export const endPerforming = (performing: Performing, attempt: OpenAttempt): void => {
  performing.delete(nameOf(attempt))
}

/** Sends the request, once, and records what came of it, however long the storage refuses. */
export const performAttempt = Effect.fnUntraced(
  function* (claimed: ClaimedAttempt, performing: Performing) {
    const { attempt } = claimed
    const result = yield* send(claimed)
    if (Option.isNone(result)) return
    performing.set(nameOf(attempt), RESULT_KNOWN)
    yield* record(attempt, result.value)
    endPerforming(performing, attempt)
  },
  // Whatever goes wrong, the sweep ends the attempt when its lease is over.
  (effect, claimed, performing) =>
    Effect.onError(effect, () => Effect.sync(() => beginPerforming(performing, claimed))),
  (effect, { attempt }) => Effect.annotateLogs(effect, annotationsOf(attempt))
)

const nameOf = ({ causationId, number }: OpenAttempt): string => `${causationId}/${number}`

/** None when it is too late to send. */
const send = Effect.fnUntraced(
  function* ({ attempt, claimedAtNanos, sealed }: ClaimedAttempt) {
    const vault = yield* RequestVault
    const client = yield* HttpClientPort
    if (sealed === null) return yield* new RequestUnreadable({ reason: "it was erased" })
    const request = withIdempotencyKey(yield* vault.open(attempt.key, sealed), attempt.key.serviceCallId)
    const elapsedMs = Number((yield* Clock.monotonicTimeNanos) - claimedAtNanos) / 1_000_000
    const timeoutMs = sendTimeoutMs(attempt, elapsedMs)
    if (timeoutMs <= 0) {
      // The sweep has ended the attempt, or will.
      yield* Effect.logWarning("too late to send: the attempt is past its deadline")
      return Option.none()
    }
    yield* Effect.logDebug("send attempt")
    const answer = yield* client.send(request, { timeoutMs })
    return Option.some(answered(answer, request, yield* DateTime.now))
  },
  Effect.catchTags({
    RequestUnreadable: ({ reason }) => Effect.map(DateTime.now, (now) => Option.some(requestUnreadable(reason, now))),
    SendFailed: (failure) => Effect.map(DateTime.now, (now) => Option.some(sendFailed(failure, now)))
  })
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

/** The target can tell a second request for the same call by it. */
const withIdempotencyKey = (request: RequestSpec, value: string): RequestSpec => {
  const headers = request.headers ?? {}
  const hasKey = Object.keys(headers).some((name) => name.toLowerCase() === "idempotency-key")
  return hasKey ? request : { ...request, headers: { ...headers, "Idempotency-Key": value } }
}
