import type { ServiceCallDetail } from "@event-service-agent/orchestration/ports/service-call-reader"
import type { ServiceCallKey } from "@event-service-agent/schemas/ids"
import { Effect } from "effect"
import { awaitDecision, type Decision } from "./await-decision.ts"
import { NotCancellable } from "./problem.ts"
import { getServiceCall } from "./read-service-calls.ts"

/** Cancels a call that has not started. One that is cancelled already stays so. */
export const cancelServiceCall = Effect.fn("Api.cancelServiceCall")(function* (
  key: ServiceCallKey,
  reason: string | null
) {
  const found = yield* getServiceCall(key)
  const decision: Decision = isOpen(found)
    ? yield* awaitDecision(found, { type: "CancelServiceCall", payload: { reason } })
    : { isDecided: true, call: found }
  const { status } = decision.call
  if (decision.isDecided && status !== "Cancelled") {
    return yield* new NotCancellable({ detail: `The call is ${status}`, serviceCallStatus: status })
  }
  return decision
})

const isOpen = ({ status }: ServiceCallDetail): boolean => status === "Submitted" || status === "Scheduled"
