import { ServiceCallKey } from "@event-service-agent/schemas/ids"
import type { Message } from "@event-service-agent/schemas/messages/catalogue"
import { fromMillis, Timestamp, toMillis } from "@event-service-agent/schemas/time"
import { Schema } from "effect"
import { AttemptOutcome, leaseMs, type OpenAttempt } from "./attempt.ts"

/** Names one start of an executor, and no other ever: the same name may have the same attempt twice. */
export const ExecutorId = Schema.String.check(Schema.isPattern(/^[A-Za-z0-9_-]{1,64}$/u))

const attemptNumber = Schema.Int.check(Schema.isGreaterThanOrEqualTo(1))
const millis = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

/** An attempt that an executor may perform, durably its own. */
export const Grant = Schema.Struct({
  /** 1 for the first attempt of a call. */
  attempt: attemptNumber,
  /** By the clock of the agent. */
  startedAt: Timestamp,
  /** Milliseconds from the claim for which the agent waits for the outcome. */
  leaseMs: millis,
  /** Milliseconds of the lease that were over when the question arrived: 0, unless it was asked again. */
  elapsedMs: millis
})
export type Grant = typeof Grant.Type

/** An executor asks for the attempt that the `StartExecution` at `seq` orders. Asked again, it gets the same answer. */
export const ClaimAttempt = Schema.Struct({
  ...ServiceCallKey.fields,
  seq: Schema.Int,
  executorId: ExecutorId,
  /** The request was too large for the way here: whoever has all of it may rather send it. */
  isSealedOmitted: Schema.optionalKey(Schema.Boolean)
})
export type ClaimAttempt = typeof ClaimAttempt.Type

export const ClaimReply = Schema.Union([
  Schema.TaggedStruct("Granted", { grant: Grant }),
  /** Somebody else has it, or it has ended. */
  Schema.TaggedStruct("Refused", {}),
  /** It cannot be decided at the moment. */
  Schema.TaggedStruct("Later", {})
])
export type ClaimReply = typeof ClaimReply.Type

/** What became of an attempt. Reported again, it changes nothing more. */
export const ReportOutcome = Schema.Struct({
  ...ServiceCallKey.fields,
  attempt: attemptNumber,
  executorId: ExecutorId,
  outcome: AttemptOutcome,
  /** Of the send, when the executor exports its spans. */
  traceparent: Schema.optional(Schema.String)
})
export type ReportOutcome = typeof ReportOutcome.Type

export const ReportReply = Schema.Union([
  /** It is durable. */
  Schema.TaggedStruct("Confirmed", {}),
  /** The executor has no such attempt. */
  Schema.TaggedStruct("Refused", {}),
  /** It could not be stored at the moment. */
  Schema.TaggedStruct("Later", {})
])
export type ReportReply = typeof ReportReply.Type

/** @param elapsedMs milliseconds of the lease that are over */
export const grantOf = (attempt: OpenAttempt, elapsedMs: number): Grant => ({
  attempt: attempt.number,
  startedAt: attempt.startedAt,
  leaseMs: leaseMs(attempt),
  elapsedMs
})

/** The attempt as its executor sees it. What a further one would send stays with the agent. */
export const attemptOfGrant = (grant: Grant, start: Message<"StartExecution">, executorId: string): OpenAttempt => ({
  key: { tenantId: start.tenantId, serviceCallId: start.aggregateId },
  number: grant.attempt,
  processId: executorId,
  isRemote: true,
  startedAt: grant.startedAt,
  deadlineAt: fromMillis(toMillis(grant.startedAt) + grant.leaseMs),
  correlationId: start.correlationId,
  causationId: start.messageId,
  sealedForResend: null,
  ...(start.traceparent === undefined ? {} : { traceparent: start.traceparent })
})

/**
 * The outcome with the times that the agent's clock would have had.
 *
 * @param aheadMs milliseconds by which the executor's clock is ahead of it
 */
export const onAgentClock = (outcome: AttemptOutcome, aheadMs: number): AttemptOutcome => {
  const shift = (time: OpenAttempt["startedAt"]) => fromMillis(toMillis(time) - aheadMs)
  const finishedAt = shift(outcome.finishedAt)
  return outcome._tag === "Succeeded"
    ? { ...outcome, sentAt: shift(outcome.sentAt), finishedAt }
    : { ...outcome, sentAt: outcome.sentAt === null ? null : shift(outcome.sentAt), finishedAt }
}
