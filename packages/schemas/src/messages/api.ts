import { Effect, Schema } from "effect"
import { message } from "../envelope.ts"
import { OnUnknown, RedactedRequest, SealedRequest } from "../http-request.ts"
import { ServiceCallId } from "../ids.ts"
import { Tags } from "../tags.ts"
import { Timestamp } from "../time.ts"

export const SubmitServiceCall = message({
  type: "SubmitServiceCall",
  kind: "command",
  aggregateType: "Submission",
  to: ["orchestration"],
  payload: {
    name: Schema.String,
    dueAt: Timestamp,
    acceptedAt: Timestamp,
    request: RedactedRequest,
    sealed: SealedRequest,
    tags: Tags,
    /** Milliseconds that one attempt may take, from the send to the end of the answer. */
    timeoutMs: Schema.Int,
    onUnknown: OnUnknown,
    keepRequest: Schema.Boolean,
    /** The call that this one repeats. */
    clonedFrom: Schema.NullOr(ServiceCallId).pipe(Schema.withDecodingDefaultTypeKey(Effect.succeed(null)))
  }
})

export const CancelServiceCall = message({
  type: "CancelServiceCall",
  kind: "command",
  aggregateType: "Submission",
  to: ["orchestration"],
  payload: { reason: Schema.NullOr(Schema.String) }
})

export const SetServiceCallTags = message({
  type: "SetServiceCallTags",
  kind: "command",
  aggregateType: "Submission",
  to: ["orchestration"],
  payload: { tags: Tags }
})
