import type { MessageId } from "@event-service-agent/schemas/ids"
import type { MessageDraft } from "@event-service-agent/schemas/messages/catalogue"
import type { DateTime } from "effect"
import type { Running, Scheduled, ServiceCall } from "./service-call.ts"

/** The message that made orchestration act, for the chain of causation; none when it acts on its own. */
export interface Cause {
  readonly messageId: MessageId | null
}

/** The domain event of the transition that led to this state: one for each revision. */
export const eventOf = (call: ServiceCall, now: DateTime.Utc, cause: Cause): MessageDraft => {
  const origin = originOf(call, now, cause)
  switch (call._tag) {
    case "Submitted":
      return {
        ...origin,
        type: "ServiceCallSubmitted",
        payload: { name: call.name, request: call.request, submittedAt: call.submittedAt, tags: call.tags }
      }
    case "Scheduled":
      return { ...origin, type: "ServiceCallScheduled", payload: { dueAt: call.dueAt } }
    case "Running":
      return { ...origin, type: "ServiceCallRunning", payload: { startedAt: call.startedAt } }
    case "Succeeded": {
      const { finishedAt, latenessMs, response: responseMeta } = call
      return { ...origin, type: "ServiceCallSucceeded", payload: { finishedAt, latenessMs, responseMeta } }
    }
    case "Failed": {
      const { finishedAt, latenessMs, error: errorMeta } = call
      return { ...origin, type: "ServiceCallFailed", payload: { finishedAt, latenessMs, errorMeta } }
    }
    case "Cancelled":
      return {
        ...origin,
        type: "ServiceCallCancelled",
        payload: { cancelledAt: call.cancelledAt, reason: call.reason }
      }
  }
}

export const tagsChanged = (call: ServiceCall, now: DateTime.Utc, cause: Cause): MessageDraft => ({
  ...originOf(call, now, cause),
  type: "ServiceCallTagsChanged",
  payload: { tags: call.tags }
})

/** The command that lets execution perform a call, with the request it had while it was Scheduled. */
export const startExecution = (call: Running, from: Scheduled, cause: Cause): MessageDraft => ({
  ...originOf(call, call.startedAt, cause),
  type: "StartExecution",
  payload: {
    request: call.request,
    sealed: from.sealed,
    timeoutMs: call.timeoutMs,
    dueAt: call.dueAt,
    onUnknown: call.onUnknown
  }
})

/** The envelope of whatever orchestration says about a call. */
export const originOf = (call: ServiceCall, now: DateTime.Utc, cause: Cause) => ({
  tenantId: call.tenantId,
  aggregateType: "ServiceCall" as const,
  aggregateId: call.serviceCallId,
  version: call.revision,
  timestamp: now,
  correlationId: call.correlationId,
  causationId: cause.messageId
})
