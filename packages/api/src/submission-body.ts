import { METHODS, OnUnknown } from "@event-service-agent/schemas/http-request"
import { ServiceCallId } from "@event-service-agent/schemas/ids"
import { Tags } from "@event-service-agent/schemas/tags"
import { Timestamp } from "@event-service-agent/schemas/time"
import { Schema } from "effect"

export const NAME_CHARACTERS_MAX = 200
export const TIMEOUT_DEFAULT_MS = 10_000
export const TIMEOUT_MAX_MS = 120_000

export const IDEMPOTENCY_KEY_DOCS =
  "Submissions of a tenant with the same key are one call, for at least 30 days after it ended"
export const IDEMPOTENCY_KEY_PATTERN = /^[!-~]{1,255}$/u
export const IdempotencyKey = Schema.String.check(
  Schema.isPattern(IDEMPOTENCY_KEY_PATTERN, {
    message: "Expected 1 to 255 visible ASCII characters",
    description: IDEMPOTENCY_KEY_DOCS
  })
)

/** The request to perform, as a tenant writes it. What else it must fulfil, `requestErrors` says. */
export const SubmittedRequest = Schema.Struct({
  method: Schema.Literals(METHODS),
  url: Schema.String.annotate({ description: "Absolute, http or https", examples: ["https://example.com/hook"] }),
  headers: Schema.optionalKey(
    Schema.Record(Schema.String, Schema.String).annotate({
      description:
        "The target also gets Idempotency-Key, the id of the call, unless it is set here. `traceparent: auto` becomes " +
        "the W3C traceparent of the request; any other value is sent as it is, and without the header there is none"
    })
  ),
  body: Schema.optionalKey(
    Schema.String.annotate({
      message: "Expected a string. Send the body's text itself, for JSON the encoded document: JSON.stringify(body)",
      description: "The text to send, at most 768 KiB"
    })
  )
}).annotate({ identifier: "SubmittedRequest", message: "Expected an object with method and url" })

export const SubmissionBody = Schema.Struct({
  name: Schema.String.check(
    Schema.isBetweenCodePoints(1, NAME_CHARACTERS_MAX, { message: `Expected 1 to ${NAME_CHARACTERS_MAX} characters` }),
    Schema.isPattern(/^(?=.*\S)\P{Cc}*$/u, { message: "Expected a name without line breaks and control characters" })
  ),
  requestSpec: SubmittedRequest,
  dueAt: Schema.optionalKey(
    Timestamp.annotateKey({ description: "When to perform the request. Absent, or up to 5 minutes ago: now" })
  ),
  tags: Schema.optionalKey(Tags),
  timeoutMs: Schema.optionalKey(
    Schema.Int.check(
      Schema.isBetween({ minimum: 1, maximum: TIMEOUT_MAX_MS }, { message: `Expected 1 to ${TIMEOUT_MAX_MS}` })
    ).annotate({ description: `Milliseconds for the whole attempt, ${TIMEOUT_DEFAULT_MS} when absent` })
  ),
  onUnknown: Schema.optionalKey(
    OnUnknown.annotate({
      description:
        "What to do when nobody can know whether the request was sent. `fail`, the default: the target gets it at most " +
        "once. `resend`: at most twice, with the same Idempotency-Key, for GET, HEAD, PUT and DELETE, and for other " +
        "methods with targetIsIdempotent"
    })
  ),
  targetIsIdempotent: Schema.optionalKey(
    Schema.Boolean.annotate({
      description: "Declares that the target does nothing more when a request with the same Idempotency-Key comes again"
    })
  ),
  keepRequest: Schema.optionalKey(
    Schema.Boolean.annotate({ description: "Keep the sealed request after the call has ended" })
  ),
  clonedFrom: Schema.optionalKey(
    ServiceCallId.annotate({ description: "The call that this one repeats, for whoever looks at it later" })
  ),
  idempotencyKey: Schema.optionalKey(IdempotencyKey)
}).annotate({
  identifier: "SubmissionBody",
  message: "Expected an object with name and requestSpec",
  description: "The call to make, and when"
})
export type SubmissionBody = typeof SubmissionBody.Type
