import { Schema } from "effect"
import { message } from "../envelope.ts"
import { OnUnknown, RedactedRequest, SealedRequest } from "../http-request.ts"
import { ErrorMeta, ResponseMeta } from "../outcome.ts"
import { Tags } from "../tags.ts"
import { Timestamp } from "../time.ts"

const aggregateType = "ServiceCall"

export const ScheduleTimer = message({
  type: "ScheduleTimer",
  kind: "command",
  aggregateType,
  to: ["timer"],
  payload: { dueAt: Timestamp }
})

export const CancelTimer = message({ type: "CancelTimer", kind: "command", aggregateType, to: ["timer"], payload: {} })

export const StartExecution = message({
  type: "StartExecution",
  kind: "command",
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
  kind: "event",
  aggregateType,
  to: [],
  payload: { name: Schema.String, request: RedactedRequest, submittedAt: Timestamp, tags: Tags }
})

export const ServiceCallScheduled = message({
  type: "ServiceCallScheduled",
  kind: "event",
  aggregateType,
  to: [],
  payload: { dueAt: Timestamp }
})

export const ServiceCallRunning = message({
  type: "ServiceCallRunning",
  kind: "event",
  aggregateType,
  to: [],
  payload: { startedAt: Timestamp }
})

export const ServiceCallSucceeded = message({
  type: "ServiceCallSucceeded",
  kind: "event",
  aggregateType,
  to: [],
  payload: { finishedAt: Timestamp, latenessMs: Schema.Int, responseMeta: ResponseMeta }
})

export const ServiceCallFailed = message({
  type: "ServiceCallFailed",
  kind: "event",
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
  kind: "event",
  aggregateType,
  to: [],
  payload: { cancelledAt: Timestamp, reason: Schema.NullOr(Schema.String) }
})

export const ServiceCallTagsChanged = message({
  type: "ServiceCallTagsChanged",
  kind: "event",
  aggregateType,
  to: [],
  payload: { tags: Tags }
})
