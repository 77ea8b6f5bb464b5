import { EventBusPort } from "@event-service-agent/platform/event-bus"
import { Transaction, UnitOfWork } from "@event-service-agent/platform/transaction"
import { DateTime, Effect, Layer } from "effect"
import { Admission, type Caps } from "./domain/admission.ts"
import { ServiceCallRepository } from "./ports/service-call-repository.ts"
import { cancelServiceCall } from "./workflows/cancel-service-call.ts"
import { finishServiceCall } from "./workflows/finish-service-call.ts"
import { noteExecutionStarted } from "./workflows/note-execution-started.ts"
import { releaseDueServiceCall } from "./workflows/release-due-service-call.ts"
import { Places, releaseWaiting } from "./workflows/release-service-calls.ts"
import { setServiceCallTags } from "./workflows/set-service-call-tags.ts"
import { submitServiceCall } from "./workflows/submit-service-call.ts"

/** Calls that one unit releases when the service starts with a backlog. */
const RELEASE_BATCH = 100

/** Decides every transition of every call. At the start it counts the calls in flight and releases those that wait. */
export const layer = (caps: Caps) =>
  Layer.effectDiscard(
    Effect.gen(function* () {
      const bus = yield* EventBusPort
      const transaction = yield* Transaction
      yield* transaction.run(countPlaces)
      while ((yield* transaction.run(releaseBacklog)) === RELEASE_BATCH);
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

const releaseBacklog = Effect.gen(function* () {
  return yield* releaseWaiting(yield* DateTime.now, { messageId: null }, RELEASE_BATCH)
})
