import { Schema } from "effect"

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
  /** With the values of secret-looking query parameters masked. */
  url: Schema.String,
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

export const MASK = "[redacted]"

/** Header values that are shown; every other one is masked. */
const HEADERS_SHOWN = new Set([
  "accept",
  "accept-encoding",
  "accept-language",
  "cache-control",
  "content-encoding",
  "content-language",
  "content-length",
  "content-type",
  "date",
  "etag",
  "expires",
  "idempotency-key",
  "if-match",
  "if-modified-since",
  "if-none-match",
  "last-modified",
  "location",
  "retry-after",
  "server",
  "traceparent",
  "user-agent",
  "vary",
  "x-correlation-id",
  "x-request-id"
])
const SECRET_NAME =
  /auth|token|secret|pass|pwd|jwt|bearer|assertion|signature|hmac|credential|session|ticket|saml|(^|[-_.])key$|apikey|^(pw|sig|code|otp|pin|k)$/i

/** The redacted view of a request. */
export const redactRequest = (spec: RequestSpec): RedactedRequest => ({
  method: spec.method,
  url: redactUrl(spec.url),
  headers: redactHeaders(Object.entries(spec.headers ?? {})),
  bodyBytes: spec.body === undefined ? 0 : new TextEncoder().encode(spec.body).byteLength
})

/** Header names in lower case, values masked unless the name is on the list of harmless ones. */
export const redactHeaders = (headers: Iterable<readonly [string, string]>): Record<string, string> => {
  const redacted: Array<readonly [string, string]> = []
  for (const [name, value] of headers) {
    const lower = name.toLowerCase()
    const shown = lower === "location" ? redactUrl(value) : value
    redacted.push([lower, HEADERS_SHOWN.has(lower) ? shown : MASK])
  }
  return Object.fromEntries(redacted)
}

/** The URL without the fragment, user information and values of secret-looking query parameters. */
export const redactUrl = (text: string): string => {
  if (!URL.canParse(text)) return text.split(/[?#]/)[0] ?? ""
  const url = new URL(text)
  url.username = ""
  url.password = ""
  url.hash = ""
  for (const name of [...url.searchParams.keys()]) {
    if (SECRET_NAME.test(name)) url.searchParams.set(name, MASK)
  }
  return url.href
}
