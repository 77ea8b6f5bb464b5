import { TimerPort } from "@event-service-agent/platform/timer-port"
import { UnitOfWork } from "@event-service-agent/platform/transaction"
import type { TenantId } from "@event-service-agent/schemas/ids"
import type { MessageDraft } from "@event-service-agent/schemas/messages/catalogue"
import { Context, DateTime, Effect, Option } from "effect"
import type { Admission, Undo } from "../domain/admission.ts"
import { type Cause, eventOf, originOf, startExecution } from "../domain/domain-events.ts"
import { awaitDueTime, awaitRelease, type Ended, type Running, type Scheduled, start } from "../domain/service-call.ts"
import { ServiceCallRepository } from "../ports/service-call-repository.ts"
import { recordTransition } from "./record-transition.ts"

/** Who may run: the counts of the calls in flight and waiting, kept in memory and rebuilt at the start. */
export class Places extends Context.Service<Places, Admission>()("@event-service-agent/orchestration/Places") {}

/** Calls that one unit releases: bounds how long its neighbours wait for it. */
const RELEASE_BATCH = 100

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
    return { call: awaitRelease(call), messages: [] } satisfies Release
  }
  return yield* enter(call, now, cause)
})

/** Takes an ended call's place away and gives it to whoever waits, in the same unit. */
export const givePlaceOn = Effect.fnUntraced(function* (ended: Ended, now: DateTime.Utc, cause: Cause) {
  const places = yield* Places
  yield* undoable(places.leave(ended.tenantId))
  yield* releaseWaiting(now, cause)
})

/** Releases waiting calls, tenant by tenant, while there are places, at most `RELEASE_BATCH`. */
export const releaseWaiting = Effect.fnUntraced(function* (now: DateTime.Utc, cause: Cause) {
  const places = yield* Places
  for (let turn = 0; turn < RELEASE_BATCH; turn++) {
    const tenantId = places.next()
    if (tenantId === undefined) return
    yield* releaseOldest(tenantId, now, cause)
  }
})

/** Takes a due call that was cancelled out of the queue. */
export const stopWaiting = Effect.fnUntraced(function* (call: Scheduled) {
  const places = yield* Places
  yield* undoable(places.unwait(call.tenantId))
})

const releaseOldest = Effect.fnUntraced(function* (tenantId: TenantId, now: DateTime.Utc, cause: Cause) {
  const places = yield* Places
  const repository = yield* ServiceCallRepository
  const oldest = yield* repository.oldestDue(tenantId)
  yield* undoable(places.unwait(tenantId))
  if (Option.isNone(oldest)) return
  const call = oldest.value
  if (DateTime.isLessThan(now, call.dueAt)) {
    // The clock has gone back since the call was found due. It must not hold up the call whose end led here.
    const timer = yield* TimerPort
    yield* timer.schedule(call, call.dueAt, originOf(call, now, cause))
    return yield* repository.update(call, awaitDueTime(call))
  }
  const release = yield* enter(call, now, cause)
  yield* recordTransition(call, release.call, release.messages)
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
