import { Schema } from "effect"

export const BODY_SNIPPET_BYTES_MAX = 8_192
/** Characters that are kept of the value of one header of an answer. */
export const RESPONSE_HEADER_CHARACTERS_MAX = 8_192

/** What the target answered. Present only when a complete, successful answer arrived. */
export const ResponseMeta = Schema.Struct({
  status: Schema.Int,
  headers: Schema.Record(Schema.String, Schema.String),
  /** At most the first 8 KiB of the body as text; bytes that are not UTF-8 become U+FFFD. */
  bodySnippet: Schema.String,
  /** Bytes read from the target, at most the read limit of the HTTP client. */
  bodyBytes: Schema.Int,
  /** Milliseconds from the send to the end of the answer. */
  latencyMs: Schema.Int
})
export type ResponseMeta = typeof ResponseMeta.Type

/** Why a call failed. */
export const FailureKind = Schema.Literals([
  /** An answer outside 200 to 299; redirects are not followed. */
  "HttpStatus",
  /** The agent aborted the request at its timeout. */
  "Timeout",
  "DnsFailed",
  "ConnectionFailed",
  "TlsFailed",
  /** The connection ended, or the answer was unreadable, after the request may have left. */
  "ConnectionClosed",
  /** The target is not one this agent may call. */
  "BlockedDestination",
  /** The stored request could not be opened: another key sealed it, or it was changed. */
  "RequestUnreadable",
  /** The agent stopped between claim and outcome; the target got the request zero or one time. */
  "OutcomeUnknown"
])
export type FailureKind = typeof FailureKind.Type

/** Whether the request left: `maybe` when nobody can know. */
export const Sent = Schema.Literals(["no", "maybe", "yes"])
export type Sent = typeof Sent.Type

export const ErrorMeta = Schema.Struct({
  kind: FailureKind,
  /** For people; holds no secret and no address. */
  message: Schema.String,
  sent: Sent,
  status: Schema.optionalKey(Schema.Int),
  headers: Schema.optionalKey(Schema.Record(Schema.String, Schema.String)),
  bodySnippet: Schema.optionalKey(Schema.String),
  bodyBytes: Schema.optionalKey(Schema.Int),
  latencyMs: Schema.optionalKey(Schema.Int)
})
export type ErrorMeta = typeof ErrorMeta.Type
