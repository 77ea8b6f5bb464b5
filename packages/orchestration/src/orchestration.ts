import { EventBusPort } from "@event-service-agent/platform/event-bus"
import { Transaction, UnitOfWork } from "@event-service-agent/platform/transaction"
import { DateTime, Effect, Layer, Schedule } from "effect"
import { Admission, type Caps } from "./domain/admission.ts"
import { ServiceCallRepository } from "./ports/service-call-repository.ts"
import { cancelServiceCall } from "./workflows/cancel-service-call.ts"
import { finishServiceCall } from "./workflows/finish-service-call.ts"
import { noteExecutionStarted } from "./workflows/note-execution-started.ts"
import { releaseDueServiceCall } from "./workflows/release-due-service-call.ts"
import { Places, releaseWaiting } from "./workflows/release-service-calls.ts"
import { setServiceCallTags } from "./workflows/set-service-call-tags.ts"
import { submitServiceCall } from "./workflows/submit-service-call.ts"

/** How soon a call that waits is released at the latest, when no ended call has handed it a place. */
const RELEASE_SWEEP_MS = 1_000

/**
 * Decides every transition of every call. At the start it counts the calls in flight. Calls that wait get the places of
 * calls that end; a sweep releases those for whom there are places left, as after a start.
 */
export const layer = (caps: Caps) =>
  Layer.effectDiscard(
    Effect.gen(function* () {
      const bus = yield* EventBusPort
      const transaction = yield* Transaction
      yield* transaction.run(countPlaces)
      yield* sweep.pipe(Effect.repeat(Schedule.spaced(RELEASE_SWEEP_MS)), Effect.forkScoped)
      yield* bus.subscribe("orchestration", {
        SubmitServiceCall: submitServiceCall,
        CancelServiceCall: cancelServiceCall,
        SetServiceCallTags: setServiceCallTags,
        DueTimeReached: releaseDueServiceCall,
        ExecutionStarted: noteExecutionStarted,
        ExecutionSucceeded: finishServiceCall,
        ExecutionFailed: finishServiceCall
      })
    })
  ).pipe(Layer.provide(Layer.sync(Places, () => new Admission(caps))))

const countPlaces = Effect.gen(function* () {
  const places = yield* Places
  const repository = yield* ServiceCallRepository
  const unit = yield* UnitOfWork
  const { running, due } = yield* repository.countAllTenants
  for (const [tenantId, calls] of running) {
    for (let call = 0; call < calls; call++) unit.onRollback(places.enter(tenantId))
  }
  for (const [tenantId, calls] of due) unit.onRollback(places.wait(tenantId, calls))
})

const sweep = Effect.gen(function* () {
  const places = yield* Places
  const transaction = yield* Transaction
  while (places.next() !== undefined) yield* transaction.run(releaseBatch)
}).pipe(Effect.catchCause((cause) => Effect.logError("the release of waiting calls failed, it will run again", cause)))

const releaseBatch = Effect.gen(function* () {
  yield* releaseWaiting(yield* DateTime.now, { messageId: null })
})
