import { EventBusPort } from "@event-service-agent/platform/event-bus"
import { logRetry } from "@event-service-agent/platform/storage-error"
import { Transaction, UnitOfWork } from "@event-service-agent/platform/transaction"
import { Effect, Latch, Layer } from "effect"
import { Admission, type Caps } from "./domain/admission.ts"
import { beginCounting } from "./metrics.ts"
import { ServiceCallRepository } from "./ports/service-call-repository.ts"
import { cancelServiceCall } from "./workflows/cancel-service-call.ts"
import { finishServiceCall } from "./workflows/finish-service-call.ts"
import { noteExecutionStarted } from "./workflows/note-execution-started.ts"
import { releaseDueServiceCall } from "./workflows/release-due-service-call.ts"
import { PlaceFreed, Places, releaseNext } from "./workflows/release-service-calls.ts"
import { setServiceCallTags } from "./workflows/set-service-call-tags.ts"
import { submitServiceCall } from "./workflows/submit-service-call.ts"

/** How soon a call that waits is released at the latest, if nobody says that there is a place: the safety net. */
const RELEASE_SWEEP_MS = 5_000
/** After a failure. */
const RELEASE_RETRY_MS = 1_000

/** Calls that are released in one commit. */
const RELEASE_BATCH_SIZE = 64

/** Decides every transition of every call. At the start it counts the calls in flight and those that wait. */
export const layer = (caps: Caps) =>
  Layer.effectDiscard(
    Effect.gen(function* () {
      const bus = yield* EventBusPort
      const transaction = yield* Transaction
      yield* beginCounting
      yield* transaction.run(countPlaces)
      yield* Effect.forkScoped(Effect.forever(releaseWaiting))
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
  ).pipe(Layer.provide([Layer.sync(Places, () => new Admission(caps)), Layer.effect(PlaceFreed, Latch.make(true))]))

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

/** One round: waits for a free place, then releases whoever can take one. */
const releaseWaiting = Effect.gen(function* () {
  const places = yield* Places
  const freed = yield* PlaceFreed
  const transaction = yield* Transaction
  yield* Effect.timeoutOption(freed.await, RELEASE_SWEEP_MS)
  yield* freed.close
  // Side by side they share a commit, each in a unit of its own; one that finds nobody left does nothing.
  const releases = Array.from({ length: RELEASE_BATCH_SIZE }, () => transaction.run(releaseNext))
  while (places.hasNext()) yield* Effect.all(releases, { concurrency: "unbounded", discard: true })
}).pipe(
  Effect.catchCause(
    Effect.fnUntraced(function* (cause) {
      yield* logRetry("the release of a waiting call failed, it will be tried again", cause)
      yield* Effect.sleep(RELEASE_RETRY_MS)
      const freed = yield* PlaceFreed
      yield* freed.open
    })
  )
)
