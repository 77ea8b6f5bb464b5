import { Schema } from "effect"
import { message } from "../envelope.ts"
import { OnUnknown, RedactedRequest, SealedRequest } from "../http-request.ts"
import { ErrorMeta, ResponseMeta } from "../outcome.ts"
import { Tags } from "../tags.ts"
import { Timestamp } from "../time.ts"

const aggregateType = "ServiceCall"

export const ScheduleTimer = message({
  type: "ScheduleTimer",
  aggregateType,
  to: ["timer"],
  payload: { dueAt: Timestamp }
})

export const CancelTimer = message({ type: "CancelTimer", aggregateType, to: ["timer"], payload: {} })

export const StartExecution = message({
  type: "StartExecution",
  aggregateType,
  to: ["execution"],
  payload: {
    request: RedactedRequest,
    sealed: SealedRequest,
    timeoutMs: Schema.Int,
    dueAt: Timestamp,
    onUnknown: OnUnknown
  }
})

export const ServiceCallSubmitted = message({
  type: "ServiceCallSubmitted",
  aggregateType,
  to: [],
  payload: { name: Schema.String, request: RedactedRequest, submittedAt: Timestamp, tags: Tags }
})

export const ServiceCallScheduled = message({
  type: "ServiceCallScheduled",
  aggregateType,
  to: [],
  payload: { dueAt: Timestamp }
})

export const ServiceCallRunning = message({
  type: "ServiceCallRunning",
  aggregateType,
  to: [],
  payload: { startedAt: Timestamp }
})

export const ServiceCallSucceeded = message({
  type: "ServiceCallSucceeded",
  aggregateType,
  to: [],
  payload: { finishedAt: Timestamp, latenessMs: Schema.Int, responseMeta: ResponseMeta }
})

export const ServiceCallFailed = message({
  type: "ServiceCallFailed",
  aggregateType,
  to: [],
  payload: {
    finishedAt: Timestamp,
    /** `null` when the request did not leave. */
    latenessMs: Schema.NullOr(Schema.Int),
    errorMeta: ErrorMeta
  }
})

export const ServiceCallCancelled = message({
  type: "ServiceCallCancelled",
  aggregateType,
  to: [],
  payload: { cancelledAt: Timestamp, reason: Schema.NullOr(Schema.String) }
})

export const ServiceCallTagsChanged = message({
  type: "ServiceCallTagsChanged",
  aggregateType,
  to: [],
  payload: { tags: Tags }
})
