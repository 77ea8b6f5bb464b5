import { EventBusPort } from "@event-service-agent/platform/event-bus"
import type { Message } from "@event-service-agent/schemas/messages/catalogue"
import { DateTime, Effect } from "effect"
import { tagsChanged } from "../domain/domain-events.ts"
import { changeTags } from "../domain/service-call.ts"
import { ServiceCallRepository } from "../ports/service-call-repository.ts"
import { findKept } from "./find-known.ts"
import { logTransitions } from "./record-transition.ts"

/**
 * Replaces a call's tags, whatever state it is in. The same tags again change nothing, in whatever order, nor do those
 * of a pruned call.
 */
export const setServiceCallTags = Effect.fnUntraced(function* (command: Message<"SetServiceCallTags">) {
  const call = yield* findKept(command)
  if (call === undefined) return
  const { tags } = command.payload
  if (tags.length === call.tags.length && tags.every((tag) => call.tags.includes(tag))) return

  const now = yield* DateTime.now
  const repository = yield* ServiceCallRepository
  const bus = yield* EventBusPort
  const changed = changeTags(call, tags)
  yield* repository.update(call, changed)
  yield* bus.publish([tagsChanged(changed, now, command)])
  yield* logTransitions(changed, ["tags changed"])
})
