import { UnitOfWork } from "@event-service-agent/platform/transaction"
import type { TenantId } from "@event-service-agent/schemas/ids"
import type { MessageDraft } from "@event-service-agent/schemas/messages/catalogue"
import { Context, type DateTime, Effect, Option } from "effect"
import type { Admission, Undo } from "../domain/admission.ts"
import { type Cause, eventOf, startExecution } from "../domain/domain-events.ts"
import { awaitRelease, type Ended, type Running, type Scheduled, start } from "../domain/service-call.ts"
import { ServiceCallRepository } from "../ports/service-call-repository.ts"
import { recordTransition } from "./record-transition.ts"

/** Who may run: the counts of the calls in flight and waiting, kept in memory and rebuilt at the start. */
export class Places extends Context.Service<Places, Admission>()("@event-service-agent/orchestration/Places") {}

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
  yield* releaseWaiting(now, cause, 1)
})

/** Releases waiting calls, tenant by tenant, while there are places. Returns how many. */
export const releaseWaiting = Effect.fnUntraced(function* (now: DateTime.Utc, cause: Cause, limit: number) {
  const places = yield* Places
  for (let released = 0; released < limit; released++) {
    const tenantId = places.next()
    if (tenantId === undefined) return released
    yield* releaseOldest(tenantId, now, cause)
  }
  return limit
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
  const release = yield* enter(oldest.value, now, cause)
  yield* recordTransition(oldest.value, release.call, release.messages)
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
