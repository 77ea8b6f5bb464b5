import { Schema } from "effect"
import { redactHeaders, redactUrl } from "./redaction.ts"

export const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] as const
export const URL_CHARACTERS_MAX = 8_192
export const HEADERS_MAX = 100

export const HttpMethod = Schema.Literals(METHODS)
export type HttpMethod = typeof HttpMethod.Type

/** The HTTP request a tenant wants performed, as submitted. Holds secrets: it is sealed before it is stored. */
export const RequestSpec = Schema.Struct({
  method: HttpMethod,
  url: Schema.String,
  headers: Schema.optionalKey(Schema.Record(Schema.String, Schema.String)),
  body: Schema.optionalKey(Schema.String)
})
export type RequestSpec = typeof RequestSpec.Type

/** What people, events and logs may see of a request. */
export const RedactedRequest = Schema.Struct({
  method: HttpMethod,
  /** Without user information and fragment, secret-looking parts of path and query masked. */
  url: Schema.String,
  /** Names in lower case; values masked but for those of harmless headers that do not look secret. */
  headers: Schema.Record(Schema.String, Schema.String),
  bodyBytes: Schema.Int
})
export type RedactedRequest = typeof RedactedRequest.Type

/** AES-256-GCM over the encoded `RequestSpec`; `null` once erased. Only execution can open it. */
export const SealedRequest = Schema.NullOr(Schema.Uint8ArrayFromBase64)
export type SealedRequest = typeof SealedRequest.Type

/** Whether a request whose outcome is unknown stays failed, or may be sent a second time. */
export const OnUnknown = Schema.Literals(["fail", "resend"])
export type OnUnknown = typeof OnUnknown.Type

/** The redacted view of a request. */
export const redactRequest = (spec: RequestSpec): RedactedRequest => ({
  method: spec.method,
  url: redactUrl(spec.url),
  headers: redactHeaders(Object.entries(spec.headers ?? {})),
  bodyBytes: spec.body === undefined ? 0 : new TextEncoder().encode(spec.body).byteLength
})
