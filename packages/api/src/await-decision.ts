import type { ServiceCallDetail } from "@event-service-agent/orchestration/ports/service-call-reader"
import { EventBusPort } from "@event-service-agent/platform/event-bus"
import { Outbox } from "@event-service-agent/platform/outbox"
import { Transaction } from "@event-service-agent/platform/transaction"
import type { MessageDraft } from "@event-service-agent/schemas/messages/catalogue"
import { DateTime, Effect, Option, Schedule } from "effect"
import { getServiceCall } from "./read-service-calls.ts"

/** How long an answer waits for orchestration's decision. */
export const DECISION_WAIT_MS = 2_000
/** The first pause between two looks. Each is longer than the one before: who is late is so because there is much to do. */
const DECISION_POLL_MS = 20
const DECISION_POLL_GROWTH = 1.5

/** What became of a change that was asked for. */
export interface Decision {
  /** False when there is none yet; the change is on its way. */
  readonly isDecided: boolean
  readonly call: ServiceCallDetail
}

type Order =
  | Pick<MessageDraft<"CancelServiceCall">, "type" | "payload">
  | Pick<MessageDraft<"SetServiceCallTags">, "type" | "payload">

/**
 * Sends the command to orchestration, and waits until that has handled it, or for `DECISION_WAIT_MS`. A cancellation
 * that is on its way already is not sent once more: it would change nothing, and fill the outbox while nobody decides.
 */
export const awaitDecision = Effect.fnUntraced(function* (call: ServiceCallDetail, order: Order) {
  const bus = yield* EventBusPort
  const outbox = yield* Outbox
  const transaction = yield* Transaction
  const envelope = {
    tenantId: call.tenantId,
    aggregateType: "Submission" as const,
    aggregateId: call.serviceCallId,
    version: 1,
    timestamp: yield* DateTime.now,
    correlationId: call.correlationId,
    causationId: null
  }
  const isOnItsWay = Effect.map(outbox.unhandled(order.type, call.tenantId), (ids) => ids.has(call.serviceCallId))
  const isAsked = order.type === "CancelServiceCall" && (yield* isOnItsWay)
  if (!isAsked) yield* transaction.run(bus.publish([{ ...envelope, ...order }]))
  const handled = yield* isOnItsWay.pipe(
    Effect.repeat({
      until: (isWaiting) => !isWaiting,
      schedule: Schedule.exponential(DECISION_POLL_MS, DECISION_POLL_GROWTH)
    }),
    Effect.timeoutOption(DECISION_WAIT_MS)
  )
  const decision: Decision = { isDecided: Option.isSome(handled), call: yield* getServiceCall(call) }
  return decision
})
