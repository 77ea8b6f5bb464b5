import { TimerPort } from "@event-service-agent/platform/timer-port"
import { callAttributes, currentTraceparent, spanInUnit } from "@event-service-agent/platform/tracing"
import { UnitOfWork } from "@event-service-agent/platform/transaction"
import type { MessageDraft } from "@event-service-agent/schemas/messages/catalogue"
import { Context, DateTime, Effect, type Latch, Option } from "effect"
import type { Admission, Undo } from "../domain/admission.ts"
import { type Cause, eventOf, originOf, startExecution } from "../domain/domain-events.ts"
import { awaitDueTime, awaitRelease, type Ended, type Running, type Scheduled, start } from "../domain/service-call.ts"
import { ServiceCallRepository } from "../ports/service-call-repository.ts"
import { recordTransition } from "./record-transition.ts"

/** Who may run: the counts of the calls in flight and waiting, kept in memory and rebuilt at the start. */
export class Places extends Context.Service<Places, Admission>()("@event-service-agent/orchestration/Places") {}

/** Opens when a place has become free. */
export class PlaceFreed extends Context.Service<PlaceFreed, Latch.Latch>()(
  "@event-service-agent/orchestration/PlaceFreed"
) {}

/** A due call's next state, and the messages that follow from it. */
interface Release {
  readonly call: Running | Scheduled
  readonly messages: ReadonlyArray<MessageDraft>
}

/**
 * Lets a due call run if it finds a place, in the unit that found it due; otherwise it waits for its turn. Storing the
 * result is the caller's.
 */
export const releaseOrWait = Effect.fnUntraced(function* (call: Scheduled, now: DateTime.Utc, cause: Cause) {
  const places = yield* Places
  if (!places.hasPlace(call.tenantId)) {
    yield* undoable(places.wait(call.tenantId))
    return { call: awaitRelease(call, yield* currentTraceparent), messages: [] } satisfies Release
  }
  return yield* enter(call, now, cause)
})

/**
 * Takes an ended call's place away, for whoever waits. That one is released in a unit of its own: what is wrong with it
 * must not hold up the end of this one.
 */
export const freePlace = Effect.fnUntraced(function* (ended: Ended) {
  const places = yield* Places
  const freed = yield* PlaceFreed
  const unit = yield* UnitOfWork
  yield* undoable(places.leave(ended.tenantId))
  unit.afterCommit(Effect.asVoid(freed.open))
})

/** Releases the oldest waiting call of the tenant whose turn it is, if there is a place. No message causes that. */
export const releaseNext = Effect.gen(function* () {
  const places = yield* Places
  const repository = yield* ServiceCallRepository
  const tenantId = places.next()
  if (tenantId === undefined) return
  const oldest = yield* repository.oldestDue(tenantId)
  yield* undoable(places.unwait(tenantId))
  if (Option.isNone(oldest)) return
  const call = oldest.value
  yield* spanInUnit(releaseOldest(call), "orchestration release", {
    kind: "internal",
    traceparent: call.traceparent,
    isAfterWait: true,
    attributes: callAttributes(call, call.correlationId)
  })
})

const releaseOldest = Effect.fnUntraced(function* (call: Scheduled) {
  const repository = yield* ServiceCallRepository
  const now = yield* DateTime.now
  const cause: Cause = { messageId: null }
  if (DateTime.isLessThan(now, call.dueAt)) {
    // The clock has gone back since the call was found due.
    const timer = yield* TimerPort
    yield* timer.schedule(call, call.dueAt, originOf(call, now, cause))
    return yield* repository.update(call, awaitDueTime(call))
  }
  const release = yield* enter(call, now, cause)
  yield* recordTransition(call, release.call, release.messages)
})

/** Takes a due call that was cancelled out of the queue. */
export const stopWaiting = Effect.fnUntraced(function* (call: Scheduled) {
  const places = yield* Places
  yield* undoable(places.unwait(call.tenantId))
})

const enter = Effect.fnUntraced(function* (scheduled: Scheduled, now: DateTime.Utc, cause: Cause) {
  const running = yield* Effect.fromResult(start(scheduled, now))
  const places = yield* Places
  yield* undoable(places.enter(scheduled.tenantId))
  const messages = [eventOf(running, now, cause), startExecution(running, scheduled, cause)]
  return { call: running, messages } satisfies Release
})

/** Keeps the counts in memory true when the unit is rolled back. */
const undoable = (undo: Undo) => Effect.map(UnitOfWork, (unit) => unit.onRollback(undo))
