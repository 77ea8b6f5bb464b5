import type { Answer, SendFailed } from "@event-service-agent/platform/http-client-port"
import { keyOf } from "@event-service-agent/platform/outbox"
import type { RequestSpec } from "@event-service-agent/schemas/http-request"
import type { CorrelationId, MessageId, ServiceCallKey } from "@event-service-agent/schemas/ids"
import type { Message, MessageDraft } from "@event-service-agent/schemas/messages/catalogue"
import { BODY_SNIPPET_BYTES_MAX, ErrorMeta, ResponseMeta } from "@event-service-agent/schemas/outcome"
import { redactAnswer } from "@event-service-agent/schemas/redact-answer"
import { fromMillis, Timestamp, toMillis } from "@event-service-agent/schemas/time"
import { type DateTime, Schema } from "effect"

/** Milliseconds beyond its timeout after which an attempt without an outcome counts as lost. */
export const ATTEMPT_GRACE_MS = 5_000

/** Attempts of a call that would rather be sent twice than have an unknown outcome. Any other call has one. */
export const ATTEMPTS_MAX = 2

/** One try to perform a call, claimed durably before anything is sent. */
export interface OpenAttempt {
  readonly key: ServiceCallKey
  /** 1 for the first attempt of a call. */
  readonly number: number
  /** The process that claimed it, the only one that may send. */
  readonly processId: string
  /** Whether that is an executor elsewhere: then it goes on when this process ends, for as long as the lease lasts. */
  readonly isRemote: boolean
  readonly startedAt: DateTime.Utc
  /** `startedAt` + timeout + `ATTEMPT_GRACE_MS`. */
  readonly deadlineAt: DateTime.Utc
  readonly correlationId: CorrelationId
  /** The `StartExecution` that asked for it. */
  readonly causationId: MessageId
  /** What another attempt would send, if this one is lost; `null` when there will be no other. */
  readonly sealedForResend: Uint8Array | null
  /** The span that what follows goes on from. */
  readonly traceparent?: string | undefined
}

/** Who may perform an attempt, and until when. */
export type Lease = Pick<OpenAttempt, "key" | "number" | "processId" | "isRemote" | "startedAt" | "deadlineAt">

/** How an attempt ended. */
export const AttemptOutcome = Schema.Union([
  Schema.TaggedStruct("Succeeded", { sentAt: Timestamp, finishedAt: Timestamp, responseMeta: ResponseMeta }),
  Schema.TaggedStruct("Failed", { sentAt: Schema.NullOr(Timestamp), finishedAt: Timestamp, errorMeta: ErrorMeta })
])
export type AttemptOutcome = typeof AttemptOutcome.Type

export const openAttempt = (
  start: Message<"StartExecution">,
  processId: string,
  startedAt: DateTime.Utc,
  /** The span in which it is claimed. */
  traceparent?: string | undefined
): OpenAttempt => ({
  key: keyOf(start),
  number: 1,
  processId,
  isRemote: false,
  startedAt,
  deadlineAt: fromMillis(toMillis(startedAt) + leaseMsFor(start)),
  correlationId: start.correlationId,
  causationId: start.messageId,
  sealedForResend: start.payload.onUnknown === "resend" ? start.payload.sealed : null,
  traceparent
})

/** The attempt that follows on a lost one, in this process; `undefined` when the lost one was the last. */
export const attemptAgain = (
  lost: OpenAttempt,
  processId: string,
  startedAt: DateTime.Utc
): OpenAttempt | undefined => {
  if (lost.sealedForResend === null) return undefined
  const number = lost.number + 1
  return {
    ...lost,
    number,
    processId,
    isRemote: false,
    startedAt,
    deadlineAt: fromMillis(toMillis(startedAt) + leaseMs(lost)),
    sealedForResend: number < ATTEMPTS_MAX ? lost.sealedForResend : null
  }
}

/** Milliseconds that the lease of an attempt at this call has. */
export const leaseMsFor = (start: Message<"StartExecution">): number => start.payload.timeoutMs + ATTEMPT_GRACE_MS

/** Milliseconds from the claim for which nobody but the claiming process acts on the attempt. */
export const leaseMs = ({ startedAt, deadlineAt }: Pick<Lease, "startedAt" | "deadlineAt">): number =>
  toMillis(deadlineAt) - toMillis(startedAt)

/**
 * Milliseconds that a send may take which begins now: the call's timeout, or less when that would outlast the lease.
 * Zero or less: it is too late to send.
 *
 * @param elapsedMs milliseconds since the claim, by a clock that nobody can set
 */
export const sendTimeoutMs = (attempt: OpenAttempt, elapsedMs: number): number =>
  Math.min(timeoutMsOf(attempt), Math.floor(leaseMs(attempt) - elapsedMs))

/** Milliseconds that the call allows each of its attempts. */
export const timeoutMsOf = (attempt: OpenAttempt): number => leaseMs(attempt) - ATTEMPT_GRACE_MS

/**
 * Success is 200 to 299; every other status is a failure that certainly reached the target.
 *
 * @param request what was sent: none of its secrets that the target repeats is kept
 */
export const answered = (answer: Answer, request: RequestSpec, finishedAt: DateTime.Utc): AttemptOutcome => {
  const sentAt = fromMillis(answer.sentAt)
  const isCut = answer.bodyBytes > Math.min(answer.bodyStart.byteLength, BODY_SNIPPET_BYTES_MAX)
  const meta = {
    status: answer.status,
    ...redactAnswer(request, { headers: answer.headers, body: snippetOf(answer, isCut), isCut }),
    bodyBytes: answer.bodyBytes,
    latencyMs: Math.round(answer.latencyMs)
  }
  if (answer.status >= 200 && answer.status <= 299) return { _tag: "Succeeded", sentAt, finishedAt, responseMeta: meta }
  const message = `The target answered ${answer.status}${hintFor(answer.status)}`
  return { _tag: "Failed", sentAt, finishedAt, errorMeta: { ...meta, kind: "HttpStatus", message, sent: "yes" } }
}

export const sendFailed = (failure: SendFailed, finishedAt: DateTime.Utc): AttemptOutcome => {
  const { kind, message, sent, sentAt, status } = failure
  const errorMeta = { kind, message, sent, ...(status === undefined ? {} : { status }) }
  return { _tag: "Failed", sentAt: sentAt === null ? null : fromMillis(sentAt), finishedAt, errorMeta }
}

/** @param reason why the stored request does not open, as the end of a sentence */
export const requestUnreadable = (reason: string, finishedAt: DateTime.Utc): AttemptOutcome =>
  unsentOrUnknown(finishedAt, {
    kind: "RequestUnreadable",
    message:
      `Nothing was sent: the stored request does not open, because ${reason}. Submit the call again. ` +
      "If the secret key was replaced, put the earlier one back for the calls that still wait",
    sent: "no"
  })

/** For a request that was too large for the way to the executor. */
export const requestOmitted = (finishedAt: DateTime.Utc): AttemptOutcome =>
  unsentOrUnknown(finishedAt, {
    kind: "RequestUnreadable",
    message:
      "Nothing was sent: the request did not reach the executor, because it is larger than the broker's max_payload. " +
      "Raise max_payload and submit the call again",
    sent: "no"
  })

/** @param processId the process that looks, which need not be the one that claimed the attempt */
export const outcomeUnknown = (attempt: OpenAttempt, processId: string, finishedAt: DateTime.Utc): AttemptOutcome => {
  const howOften = attempt.number === 1 ? "once or not at all" : "twice, once or not at all"
  const inThisProcess =
    attempt.processId === processId
      ? "This call did not end in time"
      : "The agent stopped before it could record what became of this call"
  const what = attempt.isRemote ? "The executor of this call did not report in time" : inThisProcess
  const message = `${what}. The target got the request ${howOften}: look there before you submit it again`
  return unsentOrUnknown(finishedAt, { kind: "OutcomeUnknown", message, sent: "maybe" })
}

export const startedMessage = (attempt: OpenAttempt): MessageDraft<"ExecutionStarted"> => ({
  ...envelopeOf(attempt),
  type: "ExecutionStarted",
  version: 2 * attempt.number - 1,
  timestamp: attempt.startedAt,
  payload: { attempt: attempt.number, startedAt: attempt.startedAt }
})

/** The end of an attempt is the end of its call. */
export const outcomeMessage = (
  attempt: OpenAttempt,
  ending: AttemptOutcome,
  timestamp: DateTime.Utc
): MessageDraft<"ExecutionSucceeded" | "ExecutionFailed"> => {
  const { _tag, ...outcome } = attempt.number === 1 ? ending : afterLostAttempt(ending)
  const envelope = { ...envelopeOf(attempt), version: 2 * attempt.number, timestamp }
  return "responseMeta" in outcome
    ? { ...envelope, type: "ExecutionSucceeded", payload: { attempt: attempt.number, ...outcome } }
    : { ...envelope, type: "ExecutionFailed", payload: { attempt: attempt.number, ...outcome } }
}

/** What an attempt did not send, the lost one before it may have sent. */
const afterLostAttempt = (outcome: AttemptOutcome): AttemptOutcome => {
  if (outcome._tag === "Succeeded" || outcome.errorMeta.sent !== "no") return outcome
  const message = `${outcome.errorMeta.message}. An earlier attempt, whose outcome is unknown, may have reached the target`
  return { ...outcome, errorMeta: { ...outcome.errorMeta, message, sent: "maybe" } }
}

/** What a log line says of an attempt. */
export const annotationsOf = ({ key, number, correlationId }: OpenAttempt) => ({
  ...key,
  attempt: number,
  correlationId
})

const unsentOrUnknown = (finishedAt: DateTime.Utc, errorMeta: ErrorMeta): AttemptOutcome => ({
  _tag: "Failed",
  sentAt: null,
  finishedAt,
  errorMeta
})

const envelopeOf = ({ key, correlationId, causationId, traceparent }: OpenAttempt) => ({
  tenantId: key.tenantId,
  aggregateType: "ExecutionAttempt" as const,
  aggregateId: key.serviceCallId,
  correlationId,
  causationId,
  traceparent
})

const hintFor = (status: number): string => {
  if (status >= 300 && status <= 399 && status !== 304)
    return ", a redirect. Redirects are not followed: submit the final URL"
  if (status >= 400 && status <= 499) return ": it refused the request"
  return status >= 500 ? ": it failed on the request" : ""
}

/** A decoder that expects more holds back the character that the cut splits. */
const snippetOf = ({ bodyStart }: Answer, isCut: boolean): string =>
  new TextDecoder().decode(bodyStart.subarray(0, BODY_SNIPPET_BYTES_MAX), { stream: isCut })
