import type { ServiceCallDetail } from "@event-service-agent/orchestration/ports/service-call-reader"
import type { ServiceCallKey } from "@event-service-agent/schemas/ids"
import type { Tags } from "@event-service-agent/schemas/tags"
import { Effect } from "effect"
import { awaitDecision } from "./await-decision.ts"
import { getServiceCall } from "./read-service-calls.ts"

/** Replaces a call's tags, whatever state it is in. */
export const setServiceCallTags = Effect.fn("Api.setServiceCallTags")(function* (key: ServiceCallKey, tags: Tags) {
  const hasTags = (call: ServiceCallDetail) =>
    call.tags.length === tags.length && tags.every((tag, index) => tag === call.tags[index])
  return yield* awaitDecision(yield* getServiceCall(key), { type: "SetServiceCallTags", payload: { tags } }, hasTags)
})
