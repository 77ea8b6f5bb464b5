import type { OnUnknown, RedactedRequest } from "@event-service-agent/schemas/http-request"
import type { CorrelationId, ServiceCallId, ServiceCallKey } from "@event-service-agent/schemas/ids"
import type { ErrorMeta, ResponseMeta } from "@event-service-agent/schemas/outcome"
import { Data, DateTime, Result } from "effect"

/** What stays the same over a call's life, but for the tags and the revision. */
interface Details extends ServiceCallKey {
  /** Grows by one with every domain event. */
  readonly revision: number
  readonly name: string
  readonly request: RedactedRequest
  readonly tags: ReadonlyArray<string>
  readonly timeoutMs: number
  readonly onUnknown: OnUnknown
  /** Whether the sealed request outlives the end of the call. */
  readonly keepRequest: boolean
  /** The call that this one repeats. */
  readonly clonedFrom: ServiceCallId | null
  readonly acceptedAt: DateTime.Utc
  readonly dueAt: DateTime.Utc
  readonly correlationId: CorrelationId
  readonly submittedAt: DateTime.Utc
}

export interface Submitted extends Details {
  readonly _tag: "Submitted"
  readonly sealed: Uint8Array | null
}

export interface Scheduled extends Details {
  readonly _tag: "Scheduled"
  readonly scheduledAt: DateTime.Utc
  /** Its due time has come; it waits for a place among the calls in flight. */
  readonly isDue: boolean
  readonly sealed: Uint8Array | null
  /** The span that found it due, for who releases it. */
  readonly traceparent?: string
}

export interface Running extends Details {
  readonly _tag: "Running"
  readonly scheduledAt: DateTime.Utc
  readonly startedAt: DateTime.Utc
  /** Known once execution has claimed it. */
  readonly attempt: Attempt | null
}

export interface Succeeded extends Omit<Running, "_tag"> {
  readonly _tag: "Succeeded"
  readonly finishedAt: DateTime.Utc
  readonly latenessMs: number
  readonly response: ResponseMeta
}

export interface Failed extends Omit<Running, "_tag"> {
  readonly _tag: "Failed"
  readonly finishedAt: DateTime.Utc
  /** `null` when the request did not leave, or nobody knows when. */
  readonly latenessMs: number | null
  readonly error: ErrorMeta
}

export interface Cancelled extends Details {
  readonly _tag: "Cancelled"
  readonly scheduledAt: DateTime.Utc | null
  readonly cancelledAt: DateTime.Utc
  readonly reason: string | null
}

export interface Attempt {
  /** 1 for the first. */
  readonly number: number
  readonly startedAt: DateTime.Utc
}

/** A service call in the one state it is in. Transitions take the state that may make them, and only go forward. */
export type ServiceCall = Submitted | Scheduled | Running | Succeeded | Failed | Cancelled
export type Ended = Succeeded | Failed | Cancelled

/** The call's due time has not come yet by this clock. */
export class NotDue extends Data.TaggedError("NotDue")<{ readonly dueAt: DateTime.Utc; readonly now: DateTime.Utc }> {}

export type Submission = Omit<Submitted, "_tag" | "revision" | "submittedAt">

export const submit = (submission: Submission, now: DateTime.Utc): Submitted => ({
  _tag: "Submitted",
  ...submission,
  revision: 1,
  submittedAt: now
})

export const schedule = (call: Submitted, now: DateTime.Utc): Scheduled => ({
  ...call,
  _tag: "Scheduled",
  revision: call.revision + 1,
  scheduledAt: now,
  isDue: false
})

/** Notes that the due time has come while there is no place to run. No event: the call is still Scheduled. */
export const awaitRelease = (call: Scheduled, traceparent?: string): Scheduled => ({
  ...call,
  isDue: true,
  ...(traceparent === undefined ? {} : { traceparent })
})

/** Takes that note back: by a clock that was set back, the due time is still to come. */
export const awaitDueTime = (call: Scheduled): Scheduled => ({ ...call, isDue: false })

/** The guard of the due time: whatever message asks for it, a call never starts early. */
export const start = (call: Scheduled, now: DateTime.Utc): Result.Result<Running, NotDue> => {
  if (DateTime.isLessThan(now, call.dueAt)) return Result.fail(new NotDue({ dueAt: call.dueAt, now }))
  const { sealed: _, isDue: __, traceparent: ___, ...kept } = call
  return Result.succeed({ ...kept, _tag: "Running", revision: call.revision + 1, startedAt: now, attempt: null })
}

/** Notes the attempt that execution has claimed. No event: execution has published its own. */
export const noteAttempt = (call: Running, attempt: Attempt): Running => ({ ...call, attempt })

export const succeed = (
  call: Running,
  outcome: { readonly sentAt: DateTime.Utc; readonly response: ResponseMeta },
  now: DateTime.Utc
): Succeeded => ({
  ...call,
  _tag: "Succeeded",
  revision: call.revision + 1,
  finishedAt: now,
  latenessMs: latenessMs(call, outcome.sentAt),
  response: outcome.response
})

export const fail = (
  call: Running,
  outcome: { readonly sentAt: DateTime.Utc | null; readonly error: ErrorMeta },
  now: DateTime.Utc
): Failed => ({
  ...call,
  _tag: "Failed",
  revision: call.revision + 1,
  finishedAt: now,
  latenessMs: outcome.sentAt === null ? null : latenessMs(call, outcome.sentAt),
  error: outcome.error
})

export const cancel = (call: Submitted | Scheduled, reason: string | null, now: DateTime.Utc): Cancelled => {
  const end = { _tag: "Cancelled", revision: call.revision + 1, cancelledAt: now, reason } as const
  if (call._tag === "Submitted") {
    const { sealed: _, ...kept } = call
    return { ...kept, ...end, scheduledAt: null }
  }
  const { sealed: _, isDue: __, traceparent: ___, ...kept } = call
  return { ...kept, ...end }
}

export const changeTags = <Call extends ServiceCall>(call: Call, tags: ReadonlyArray<string>): Call => ({
  ...call,
  revision: call.revision + 1,
  tags
})

export const isEnded = (call: ServiceCall): call is Ended =>
  call._tag === "Succeeded" || call._tag === "Failed" || call._tag === "Cancelled"

/** The last instant before the send minus max(dueAt, acceptedAt), in milliseconds. */
const latenessMs = (call: Running, sentAt: DateTime.Utc): number =>
  DateTime.toEpochMillis(sentAt) - DateTime.toEpochMillis(DateTime.max(call.dueAt, call.acceptedAt))
