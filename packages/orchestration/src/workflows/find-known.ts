import { keyOf } from "@event-service-agent/platform/outbox"
import { ServiceCallId, TenantId } from "@event-service-agent/schemas/ids"
import type { Message } from "@event-service-agent/schemas/messages/catalogue"
import { Effect, Option, Schema } from "effect"
import { ServiceCallRepository } from "../ports/service-call-repository.ts"

/** A message came for a call that orchestration has never seen. It is tried again: the submission may be on its way. */
export class ServiceCallNotFound extends Schema.TaggedError<ServiceCallNotFound>()("ServiceCallNotFound", {
  tenantId: TenantId,
  serviceCallId: ServiceCallId
}) {
  override get message(): string {
    return `there is no service call ${this.serviceCallId} of tenant ${this.tenantId}`
  }
}

/** The call that a message is about, which is there as long as it has not ended. */
export const findKnown = Effect.fnUntraced(function* (message: Message) {
  const call = yield* findKept(message)
  return call ?? (yield* new ServiceCallNotFound(keyOf(message)))
})

/** The call that a client's command is about; `undefined` when it was pruned meanwhile. */
export const findKept = Effect.fnUntraced(function* (message: Message) {
  const repository = yield* ServiceCallRepository
  return Option.getOrUndefined(yield* repository.find(keyOf(message)))
})
