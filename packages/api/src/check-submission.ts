import { EgressPolicy } from "@event-service-agent/platform/egress-policy"
import { type HttpMethod, OnUnknown, type RequestSpec } from "@event-service-agent/schemas/http-request"
import { requestProblems } from "@event-service-agent/schemas/request-rules"
import { Timestamp } from "@event-service-agent/schemas/time"
import { DateTime, Effect, Option, Result, Schema } from "effect"
import type { FieldError } from "./problem.ts"
import { fieldErrors, fragment, invalid } from "./read-json.ts"
import { IdempotencyKey, SubmissionBody, SubmittedRequest } from "./submission-body.ts"

/** A due time may lie this far in the past, for clocks that differ and requests that took long. */
export const DUE_PAST_MAX_MS = 300_000
export const REQUEST_BODY_BYTES_MAX = 786_432
/** Names and values of all headers. Servers take 8 to 64 KiB; what is shown of them is in every answer and event. */
export const REQUEST_HEADERS_BYTES_MAX = 32_768

/**
 * Checks everything about a submission, so that all that is wrong is told at once. What is against a submission by the
 * rules of this moment, though it may have been right before, comes back as `objections`.
 */
export const checkSubmission = Effect.fnUntraced(function* (
  sent: { readonly body: unknown; readonly headerKey: string | undefined },
  now: DateTime.Utc
) {
  const policy = yield* EgressPolicy
  const decoded = decodeBody(sent.body)
  const parts = Result.getOrElse(decoded, () => partsOf(sent.body))
  const wrong = [
    ...(Result.isFailure(decoded) ? fieldErrors("body", decoded.failure) : []),
    ...keyErrors(sent.headerKey, parts.idempotencyKey)
  ]
  const objections = [
    ...(parts.requestSpec === undefined ? [] : requestErrors({ ...HARMLESS, ...parts.requestSpec }, policy)),
    ...dueErrors(parts, now),
    ...resendErrors(parts)
  ]
  if (Result.isFailure(decoded) || wrong.length > 0) return yield* invalid([...wrong, ...objections])
  return { body: decoded.success, idempotencyKey: sent.headerKey ?? parts.idempotencyKey, objections }
})

const decodeBody = Schema.decodeUnknownResult(SubmissionBody, { errors: "all", onExcessProperty: "error" })

/** A field that counts as absent when it is wrong. */
const ifRight = <S extends Schema.Constraint>(schema: S) =>
  Schema.optionalKey(schema).pipe(Schema.catchDecoding(() => Effect.succeedNone))
const { method, url, headers, body } = SubmittedRequest.fields
/** What the rules look at, as far as a body that is wrong elsewhere has it. */
const Parts = Schema.Struct({
  requestSpec: ifRight(
    Schema.Struct({ method: ifRight(method), url: ifRight(url), headers: ifRight(headers), body: ifRight(body) })
  ),
  dueAt: ifRight(Timestamp),
  onUnknown: ifRight(OnUnknown),
  targetIsIdempotent: ifRight(Schema.Boolean),
  idempotencyKey: ifRight(IdempotencyKey)
})
type Parts = typeof Parts.Type
const decodeParts = Schema.decodeUnknownOption(Parts)
const partsOf = (body: unknown): Parts => Option.getOrElse(decodeParts(body), () => ({}))

/** Stands in for missing parts of a request, which the schema reports. */
const HARMLESS = { method: "POST", url: "https://example.com/" } as const

const inBody = (pointer: string, detail: string): FieldError => ({ in: "body", pointer, detail })

const isKey = Schema.is(IdempotencyKey)

const keyErrors = (headerKey: string | undefined, fieldKey: string | undefined): ReadonlyArray<FieldError> => {
  if (headerKey === undefined) return []
  const error = (detail: string): FieldError => ({ in: "header", pointer: "#/idempotency-key", detail })
  if (!isKey(headerKey)) return [error("Expected 1 to 255 visible ASCII characters")]
  return fieldKey === undefined || fieldKey === headerKey
    ? []
    : [error("Differs from the field idempotencyKey: send one of them")]
}

const requestErrors = (request: RequestSpec, policy: EgressPolicy["Service"]): ReadonlyArray<FieldError> => {
  const errors = requestProblems(request).map(({ pointer, detail }) =>
    inBody(fragment(`/requestSpec${pointer}`), detail)
  )
  const judged = policy.judgeUrl(request.url)
  if (Result.isFailure(judged)) errors.push(inBody("#/requestSpec/url", judged.failure))
  if (headerBytes(request) > REQUEST_HEADERS_BYTES_MAX) {
    errors.push(inBody("#/requestSpec/headers", `Expected at most ${REQUEST_HEADERS_BYTES_MAX} bytes in all`))
  }
  if (request.body !== undefined && Buffer.byteLength(request.body) > REQUEST_BODY_BYTES_MAX) {
    errors.push(inBody("#/requestSpec/body", `Expected at most ${REQUEST_BODY_BYTES_MAX} bytes`))
  }
  return errors
}

const headerBytes = ({ headers = {} }: RequestSpec): number =>
  Object.entries(headers).reduce((bytes, header) => bytes + Buffer.byteLength(header.join("")), 0)

const dueErrors = ({ dueAt }: Parts, now: DateTime.Utc): ReadonlyArray<FieldError> =>
  dueAt !== undefined && DateTime.toEpochMillis(dueAt) < DateTime.toEpochMillis(now) - DUE_PAST_MAX_MS
    ? [inBody("#/dueAt", `More than 5 minutes ago; here it is ${DateTime.formatIso(now)}`)]
    : []

const resendErrors = ({ onUnknown, targetIsIdempotent, requestSpec }: Parts): ReadonlyArray<FieldError> => {
  const method = requestSpec?.method
  if (onUnknown !== "resend" || targetIsIdempotent === true) return []
  if (method === undefined || IDEMPOTENT_METHODS.has(method)) return []
  const detail =
    `resend may send ${method} twice: add targetIsIdempotent: true if the target knows a repeated Idempotency-Key, ` +
    "or leave onUnknown out"
  return [inBody("#/onUnknown", detail)]
}

/** RFC 9110, section 9.2.2: a second request of the same kind changes nothing further. */
const IDEMPOTENT_METHODS: ReadonlySet<HttpMethod> = new Set(["GET", "HEAD", "PUT", "DELETE"])
