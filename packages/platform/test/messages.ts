import { CorrelationId, ServiceCallId, type ServiceCallKey, TenantId } from "@event-service-agent/schemas/ids"
import type { Message, MessageDraft, TypeFor } from "@event-service-agent/schemas/messages/catalogue"
import { fromMillis, toMillis } from "@event-service-agent/schemas/time"
import type { Effect } from "effect"

const uuid = (n: number) => `00000000-0000-7000-8000-${String(n).padStart(12, "0")}`

/** The nth call of a test. */
export const keyOfCall = (call: number, tenant = "acme"): ServiceCallKey => ({
  tenantId: TenantId.make(tenant),
  serviceCallId: ServiceCallId.make(uuid(call))
})

/** A message to orchestration that carries a number. */
export const numbered = (call: number, n: number): MessageDraft => ({
  ...draftOf(keyOfCall(call)),
  type: "DueTimeReached",
  aggregateType: "Timer",
  payload: { dueAt: fromMillis(n), reachedAt: fromMillis(n) }
})

export const numberOf = (message: Message): number =>
  message.type === "DueTimeReached" ? toMillis(message.payload.dueAt) : -1

/** A message to execution with a sealed request. */
export const sealedCommand = (call: number, sealed: Uint8Array): MessageDraft => ({
  ...draftOf(keyOfCall(call)),
  type: "StartExecution",
  aggregateType: "ServiceCall",
  payload: {
    request: { method: "POST", url: "https://example.com/", headers: {}, bodyBytes: 2 },
    sealed,
    timeoutMs: 1_000,
    dueAt: fromMillis(0),
    onUnknown: "fail"
  }
})

/** Handlers for consumer orchestration that all do the same. */
export const everyMessage = <E, R>(
  handle: (message: Message) => Effect.Effect<void, E, R>
): Record<TypeFor<"orchestration">, typeof handle> => ({
  SubmitServiceCall: handle,
  CancelServiceCall: handle,
  SetServiceCallTags: handle,
  DueTimeReached: handle,
  ExecutionStarted: handle,
  ExecutionSucceeded: handle,
  ExecutionFailed: handle
})

const draftOf = (key: ServiceCallKey) => ({
  tenantId: key.tenantId,
  aggregateId: key.serviceCallId,
  version: 1,
  timestamp: fromMillis(0),
  correlationId: CorrelationId.make(uuid(0)),
  causationId: null
})
