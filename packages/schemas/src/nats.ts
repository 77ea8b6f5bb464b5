import type { Consumer } from "./envelope.ts"
import { type CorrelationId, type MessageId, newMessageId, type ServiceCallKey } from "./ids.ts"

/** What names of streams and subjects begin with, when nothing else is set: one agent per prefix. */
export const PREFIX_DEFAULT = "esa"

/** Headers of our messages on NATS, beside `Nats-Msg-Id` and `traceparent`. */
export const HEADERS = {
  /** Stays the same when a message is published again; `Nats-Msg-Id` does not. */
  messageId: "Esa-Message-Id",
  type: "Esa-Message-Type",
  correlationId: "Esa-Correlation-Id",
  /** Its place in the agent's log: grows within a service call. */
  seq: "Esa-Seq",
  /** When it was published again, because nobody handled it or somebody asked: milliseconds since 1970. */
  republished: "Esa-Republished",
  /** `omitted`: the sealed request is larger than the broker's max_payload. */
  sealed: "Esa-Sealed"
} as const

/** `work` is the agent's own, for its modules; `events` is for everybody who is allowed to listen. */
export const streamNames = (prefix: string) => ({ work: `${prefix}-work`, events: `${prefix}-events` })

/** Where an event is published. Each part may be `*` to listen to all. */
export const eventSubject = (prefix: string, tenantId: string, type: string, serviceCallId: string): string =>
  `${prefix}.v1.event.${tenantId}.${type}.${serviceCallId}`

/** Where what a module has to handle is published. */
export const workSubject = (prefix: string, consumer: Consumer, key: ServiceCallKey): string =>
  `${prefix}.v1.work.${consumer}.${key.tenantId}.${key.serviceCallId}`

/** All that a stream, or one module of `work`, gets. */
export const subjectsOf = (prefix: string) => ({
  work: `${prefix}.v1.work.>`,
  workOf: (consumer: Consumer) => `${prefix}.v1.work.${consumer}.>`,
  events: `${prefix}.v1.event.>`
})

/** Where executors ask the process that has the database. */
export const deskSubjects = (prefix: string) => ({
  claim: `${prefix}.v1.desk.claim`,
  report: `${prefix}.v1.desk.report`
})

/** A span that nobody records, in the trace that is the correlation id. */
export const newTraceparent = (correlationId: CorrelationId): string => traceparentOf(correlationId, newMessageId())

/** W3C Trace Context: the trace is the correlation id, the span the random end of the message id. */
export const traceparentOf = (correlationId: CorrelationId, messageId: MessageId): string =>
  `00-${correlationId.replaceAll("-", "")}-${messageId.replaceAll("-", "").slice(16)}-01`
