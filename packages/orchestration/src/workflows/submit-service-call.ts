import { EventBusPort } from "@event-service-agent/platform/event-bus"
import { TimerPort } from "@event-service-agent/platform/timer-port"
import type { Message } from "@event-service-agent/schemas/messages/catalogue"
import { DateTime, Effect, Option } from "effect"
import { eventOf, originOf } from "../domain/domain-events.ts"
import { schedule, submit } from "../domain/service-call.ts"
import { ServiceCallRepository } from "../ports/service-call-repository.ts"
import { logTransitions } from "./record-transition.ts"
import { releaseOrWait } from "./release-service-calls.ts"

/** Takes a submission over: a call due now is released at once, a later one gets its timer. */
export const submitServiceCall = Effect.fnUntraced(function* (command: Message<"SubmitServiceCall">) {
  const repository = yield* ServiceCallRepository
  const bus = yield* EventBusPort
  const key = { tenantId: command.tenantId, serviceCallId: command.aggregateId }
  if (Option.isSome(yield* repository.find(key))) return // a repeated message finds the work done

  const now = yield* DateTime.now
  const submitted = submit({ ...command.payload, ...key, correlationId: command.correlationId }, now)
  const scheduled = schedule(submitted, now)
  const events = [eventOf(submitted, now, command), eventOf(scheduled, now, command)]

  if (DateTime.isLessThan(now, scheduled.dueAt)) {
    const timer = yield* TimerPort
    yield* repository.insert(scheduled)
    yield* bus.publish(events)
    yield* timer.schedule(key, scheduled.dueAt, originOf(scheduled, now, command))
    return yield* logTransitions(scheduled, ["Submitted", "Scheduled"])
  }
  const { call, messages } = yield* releaseOrWait(scheduled, now, command)
  yield* repository.insert(call, call.keepRequest ? submitted.sealed : null)
  yield* bus.publish([...events, ...messages])
  yield* logTransitions(call, ["Submitted", "Scheduled", ...(call._tag === "Running" ? ["Running"] : [])])
})
