import { toMillis } from "@event-service-agent/schemas/time"
import { Clock, Effect } from "effect"
import { leaseMsFor } from "../domain/attempt.ts"
import { attemptOfGrant, type Grant } from "../domain/remote.ts"
import { answeredInTime, ExecutorLink, type Start } from "../ports/executor-link.ts"
import type { ClaimedAttempt } from "./send-attempt.ts"

/** Between two questions, when no answer came. */
export const ASK_AGAIN_FIRST_MS = 50
export const ASK_AGAIN_MAX_MS = 1_000

/** An attempt that is this executor's, with what it takes to perform it. */
export interface GrantedAttempt extends ClaimedAttempt {
  /** Milliseconds by which the clock here is ahead of the agent's. */
  readonly aheadMs: number
}

/**
 * Asks the agent for the attempt, again and again while nobody answers, for as long as the attempt could last. Its lease
 * counts from before the question, so that it is over here before it is over there. No question waits for long: what is
 * granted late is a lease that is over.
 */
export const askForAttempt = Effect.fnUntraced(function* (start: Start, executorId: string) {
  const { message, seq, isSealedOmitted } = start
  const omitted = isSealedOmitted ? { isSealedOmitted } : {}
  const request = { tenantId: message.tenantId, serviceCallId: message.aggregateId, seq, executorId, ...omitted }
  const link = yield* ExecutorLink
  const giveUpAtNanos = (yield* Clock.monotonicTimeNanos) + nanosOf(leaseMsFor(message))
  for (let pauseMs = ASK_AGAIN_FIRST_MS; ; pauseMs = Math.min(2 * pauseMs, ASK_AGAIN_MAX_MS)) {
    const askedAtNanos = yield* Clock.monotonicTimeNanos
    const askedAt = yield* Clock.currentTimeMillis
    const reply = yield* Effect.catch(answeredInTime(link.claim(request)), (error) =>
      Effect.as(Effect.logDebug("the agent did not answer, asking again", error.message), undefined)
    )
    if (reply?._tag === "Granted") return granted(start, executorId, reply.grant, askedAtNanos, askedAt)
    if (reply !== undefined) return reply._tag
    if ((yield* Clock.monotonicTimeNanos) >= giveUpAtNanos) return "Later"
    yield* Effect.sleep(pauseMs)
  }
})

const granted = (
  { message }: Start,
  executorId: string,
  grant: Grant,
  askedAtNanos: bigint,
  askedAt: number
): GrantedAttempt => ({
  attempt: attemptOfGrant(grant, message, executorId),
  claimedAtNanos: askedAtNanos - nanosOf(grant.elapsedMs),
  sealed: message.payload.sealed,
  aheadMs: askedAt - grant.elapsedMs - toMillis(grant.startedAt)
})

const nanosOf = (millis: number): bigint => BigInt(millis) * 1_000_000n
