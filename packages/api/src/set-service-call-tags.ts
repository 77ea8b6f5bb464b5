import type { ServiceCallKey } from "@event-service-agent/schemas/ids"
import type { Tags } from "@event-service-agent/schemas/tags"
import { Effect } from "effect"
import { awaitDecision } from "./await-decision.ts"
import { getServiceCall } from "./read-service-calls.ts"

/**
 * Replaces a call's tags, whatever state it is in. Of several at the same time, the last one stays: so whether these are
 * the tags it has is for orchestration to say, which takes them in their order.
 */
export const setServiceCallTags = Effect.fn("Api.setServiceCallTags")(function* (key: ServiceCallKey, tags: Tags) {
  return yield* awaitDecision(yield* getServiceCall(key), { type: "SetServiceCallTags", payload: { tags } })
})
