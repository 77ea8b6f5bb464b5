import { EventBusPort } from "@event-service-agent/platform/event-bus"
import { Outbox } from "@event-service-agent/platform/outbox"
import { keepSpan } from "@event-service-agent/platform/tracing"
import { UnitOfWork } from "@event-service-agent/platform/transaction"
import type { MessageDraft } from "@event-service-agent/schemas/messages/catalogue"
import { Effect } from "effect"
import { isEnded, type ServiceCall } from "../domain/service-call.ts"
import { countTransitions } from "../metrics.ts"
import { ServiceCallRepository } from "../ports/service-call-repository.ts"

/**
 * Stores a call's next state and publishes what follows from it, in one unit. The end of a call erases its sealed
 * request from the call and from its messages, unless the call was submitted with `keepRequest`.
 */
export const recordTransition = Effect.fnUntraced(function* (
  before: ServiceCall,
  after: ServiceCall,
  messages: ReadonlyArray<MessageDraft>
) {
  const repository = yield* ServiceCallRepository
  const bus = yield* EventBusPort
  yield* repository.update(before, after)
  yield* bus.publish(messages)
  if (isEnded(after) && !isEnded(before) && !after.keepRequest) {
    const outbox = yield* Outbox
    yield* outbox.eraseSealed(after)
  }
  yield* logTransitions(after, [after._tag])
})

/** One line for each state change, once it is durable. */
export const logTransitions = Effect.fnUntraced(function* (call: ServiceCall, states: ReadonlyArray<string>) {
  const unit = yield* UnitOfWork
  const { tenantId, serviceCallId, correlationId } = call
  const lateness = "latenessMs" in call ? { latenessMs: call.latenessMs } : {}
  const failure = call._tag === "Failed" ? { kind: call.error.kind, sent: call.error.sent } : {}
  const lines = Effect.gen(function* () {
    for (const state of states) {
      yield* state === "Failed" ? Effect.logWarning("service call Failed") : Effect.logInfo(`service call ${state}`)
    }
  })
  unit.afterCommit(countTransitions(call, states))
  const inSpan = yield* keepSpan
  const annotations = { tenantId, serviceCallId, correlationId, ...lateness, ...failure }
  unit.afterCommit(inSpan(Effect.annotateLogs(lines, annotations)))
})
