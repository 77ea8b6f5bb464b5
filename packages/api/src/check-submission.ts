import type { EgressPolicy } from "@event-service-agent/platform/egress-policy"
import { type HttpMethod, OnUnknown, type RequestSpec } from "@event-service-agent/schemas/http-request"
import { requestProblems } from "@event-service-agent/schemas/request-rules"
import { Timestamp } from "@event-service-agent/schemas/time"
import { DateTime, Effect, Option, Predicate, Result, Schema } from "effect"
import { SchemaJITCompiler } from "effect/schema"
import type { Sent } from "./acceptance.ts"
import type { FieldError, InvalidRequest } from "./problem.ts"
import { fieldErrors, fragment, invalid } from "./read-json.ts"
import { IdempotencyKey, SubmissionBody, SubmittedRequest } from "./submission-body.ts"

/** A due time may lie this far in the past, for clocks that differ and requests that took long. */
export const DUE_PAST_MAX_MS = 300_000
export const REQUEST_BODY_BYTES_MAX = 786_432
/** Names and values of all headers. Servers take 8 to 64 KiB; what is shown of them is in every answer and event. */
export const REQUEST_HEADERS_BYTES_MAX = 32_768

/** A submission that could be read. */
export interface Checked {
  readonly body: SubmissionBody
  /** The request's URL in its normal form. */
  readonly href: string
  readonly idempotencyKey: string | undefined
  /** What is against it by the rules of this moment, though it may have been right before. */
  readonly objections: ReadonlyArray<FieldError>
}

/** Checks everything about a submission, so that all that is wrong is told at once. */
export const checkSubmission = (
  sent: Sent,
  now: DateTime.Utc,
  policy: EgressPolicy["Service"]
): Result.Result<Checked, InvalidRequest> => {
  const decoded = decodeBody(sent.body)
  const parts = Result.getOrElse(decoded, () => partsOf(sent.body))
  const request = { ...HARMLESS, ...parts.requestSpec }
  const judged = policy.judgeUrl(request.url)
  const objections = [...requestErrors(request, judged), ...dueErrors(parts, now), ...resendErrors(parts)]
  const errorsOfKey = keyErrors(sent.headerKey, parts.idempotencyKey)
  if (Result.isFailure(decoded)) {
    return Result.fail(invalid([...fieldErrors("body", decoded.failure), ...errorsOfKey, ...objections]))
  }
  if (errorsOfKey.length > 0) return Result.fail(invalid([...errorsOfKey, ...objections]))
  return Result.succeed({
    body: decoded.success,
    href: Result.isSuccess(judged) ? judged.success.href : request.url,
    idempotencyKey: sent.headerKey ?? parts.idempotencyKey,
    objections
  })
}

// Compiled, it takes a third of the time; but what is compiled stops at the first error and passes names over.
SchemaJITCompiler.enable(SubmissionBody.ast)
const decodeRight = Schema.decodeUnknownResult(SubmissionBody)
const decodeAll = Schema.decodeUnknownResult(SubmissionBody, { errors: "all", onExcessProperty: "error" })

/** Finds everything that is wrong with a body; most have nothing. */
const decodeBody = (body: unknown): Result.Result<SubmissionBody, Schema.SchemaError> => {
  const decoded = decodeRight(body)
  return Result.isSuccess(decoded) && hasNoMore(body, decoded.success) ? decoded : decodeAll(body)
}

/** Whether the decoder passed over no name of what was sent. */
const hasNoMore = (sent: unknown, decoded: SubmissionBody): boolean =>
  Predicate.hasProperty(sent, "requestSpec") &&
  countNames(sent) === countNames(decoded) &&
  countNames(sent.requestSpec) === countNames(decoded.requestSpec)

const countNames = (value: unknown): number => (Predicate.isObject(value) ? Object.keys(value).length : 0)

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

export const keyErrors = (headerKey: string | undefined, fieldKey: string | undefined): ReadonlyArray<FieldError> => {
  if (headerKey === undefined) return []
  const error = (detail: string): FieldError => ({ in: "header", pointer: "#/idempotency-key", detail })
  if (!isKey(headerKey)) return [error("Expected 1 to 255 visible ASCII characters")]
  return fieldKey === undefined || fieldKey === headerKey
    ? []
    : [error("Differs from the field idempotencyKey: send one of them")]
}

const requestErrors = (request: RequestSpec, judged: Result.Result<URL, string>): ReadonlyArray<FieldError> => {
  const errors = requestProblems(request, Result.getOrUndefined(judged)).map(({ pointer, detail }) =>
    inBody(fragment(`/requestSpec${pointer}`), detail)
  )
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

export const dueErrors = (
  { dueAt }: { readonly dueAt?: DateTime.Utc | undefined },
  now: DateTime.Utc
): ReadonlyArray<FieldError> =>
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
