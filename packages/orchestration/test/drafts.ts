import { CorrelationId, ServiceCallId, type ServiceCallKey, TenantId } from "@event-service-agent/schemas/ids"
import type { MessageDraft } from "@event-service-agent/schemas/messages/catalogue"
import { fromMillis } from "@event-service-agent/schemas/time"

const uuid = (n: number) => `00000000-0000-7000-8000-${String(n).padStart(12, "0")}`

export const keyOf = (n: number, tenant = "acme"): ServiceCallKey => ({
  tenantId: TenantId.make(tenant),
  serviceCallId: ServiceCallId.make(uuid(n))
})

const envelope = (key: ServiceCallKey) => ({
  tenantId: key.tenantId,
  aggregateId: key.serviceCallId,
  version: 1,
  timestamp: fromMillis(0),
  correlationId: CorrelationId.make(uuid(999)),
  causationId: null
})

export const submitDraft = (key: ServiceCallKey, times: { readonly dueAt: number }): MessageDraft => ({
  ...envelope(key),
  type: "SubmitServiceCall",
  aggregateType: "Submission",
  payload: {
    name: "nightly report",
    dueAt: fromMillis(times.dueAt),
    acceptedAt: fromMillis(0),
    request: { method: "POST", url: "https://example.com/hook", headers: {}, bodyBytes: 2 },
    sealed: new Uint8Array([7]),
    tags: ["first"],
    timeoutMs: 10_000,
    onUnknown: "fail",
    keepRequest: false,
    clonedFrom: null
  }
})

export const dueDraft = (key: ServiceCallKey, dueAt: number): MessageDraft => ({
  ...envelope(key),
  type: "DueTimeReached",
  aggregateType: "Timer",
  payload: { dueAt: fromMillis(dueAt), reachedAt: fromMillis(dueAt) }
})

export const startedDraft = (key: ServiceCallKey): MessageDraft => ({
  ...envelope(key),
  type: "ExecutionStarted",
  aggregateType: "ExecutionAttempt",
  payload: { attempt: 1, startedAt: fromMillis(0) }
})

export const outcomeDraft = (
  key: ServiceCallKey,
  type: "ExecutionSucceeded" | "ExecutionFailed",
  sentAt: number | null
): MessageDraft => {
  const outcome = { attempt: 1, finishedAt: fromMillis(0) }
  const responseMeta = { status: 200, headers: {}, bodySnippet: "ok", bodyBytes: 2, latencyMs: 3 }
  const errorMeta = { kind: "HttpStatus", message: "the target answered 500", sent: "yes", status: 500 } as const
  const sent = sentAt === null ? null : fromMillis(sentAt)
  return type === "ExecutionSucceeded"
    ? {
        ...envelope(key),
        type,
        aggregateType: "ExecutionAttempt",
        payload: { ...outcome, sentAt: fromMillis(sentAt ?? 0), responseMeta }
      }
    : { ...envelope(key), type, aggregateType: "ExecutionAttempt", payload: { ...outcome, sentAt: sent, errorMeta } }
}

export const cancelDraft = (key: ServiceCallKey): MessageDraft => ({
  ...envelope(key),
  type: "CancelServiceCall",
  aggregateType: "Submission",
  payload: { reason: "changed my mind" }
})

export const tagsDraft = (key: ServiceCallKey, tags: ReadonlyArray<string>): MessageDraft => ({
  ...envelope(key),
  type: "SetServiceCallTags",
  aggregateType: "Submission",
  payload: { tags }
})
