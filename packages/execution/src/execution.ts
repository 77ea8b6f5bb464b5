import { EventBusPort } from "@event-service-agent/platform/event-bus"
import type { HttpClientPort } from "@event-service-agent/platform/http-client-port"
import type { RequestVault } from "@event-service-agent/platform/request-vault"
import { logRetry, retryStorage } from "@event-service-agent/platform/storage-error"
import { Transaction } from "@event-service-agent/platform/transaction"
import { Clock, DateTime, Effect, FiberSet, Layer, Schedule } from "effect"
import { AttemptDesk, makeDesk } from "./attempt-desk.ts"
import { beginCounting } from "./metrics.ts"
import { AttemptStore } from "./ports/attempt-store.ts"
import { drain } from "./workflows/drain.ts"
import { endOverdueAttempts } from "./workflows/end-overdue-attempts.ts"
import { performAttempt } from "./workflows/perform-attempt.ts"
import { beginPerforming, type Performing, resumePerforming } from "./workflows/performing.ts"
import { type Perform, startExecution } from "./workflows/start-execution.ts"

export const SWEEP_INTERVAL_MS = 1_000
/** How long a stopping agent waits for the sends that run. */
export const DRAIN_GRACE_MS = 20_000

/** What a send needs. */
type Sending = AttemptStore | EventBusPort | HttpClientPort | RequestVault | Transaction

export interface Options {
  /** Names this start of the program; a new random one if absent. Attempts of any other are ended as lost. */
  readonly processId?: string
  /** Milliseconds, `DRAIN_GRACE_MS` if absent. */
  readonly drainGraceMs?: number
  /**
   * Whether calls are performed in this process; true if absent. When false, executors elsewhere perform them, and this
   * process only sends what has to be sent a second time.
   */
  readonly isHere?: boolean
}

/**
 * Performs service calls: for each `StartExecution` one attempt with its `ExecutionStarted` and at most one request, and
 * one outcome. Where the call allows for it, a lost attempt is followed by a second one. When its scope ends it takes
 * no new work and waits for the sends that run. Those that take longer are cut off, and the next start ends them as
 * `OutcomeUnknown`. Attempts of executors elsewhere go through the desk, and outlast a stop.
 */
export const layer = ({
  processId = crypto.randomUUID(),
  drainGraceMs = DRAIN_GRACE_MS,
  isHere = true
}: Options = {}) =>
  Layer.effect(
    AttemptDesk,
    Effect.gen(function* () {
      yield* beginCounting
      const bus = yield* EventBusPort
      const transaction = yield* Transaction
      const performing: Performing = new Map()

      // Finalizers run from the last to the first: no new work, then the wait, then the set cuts off what still runs.
      const sends = yield* FiberSet.make<void>()
      const begin = yield* FiberSet.runtime(sends)<Sending>()
      // An empty unit comes back after the hooks of all earlier ones: each durable claim has begun its send by then.
      const begun = Effect.ignore(transaction.run(Effect.void))
      yield* Effect.addFinalizer(() => drain(sends, drainGraceMs, "The next start ends them as OutcomeUnknown", begun))
      const perform: Perform = (claimed) => {
        const send = Effect.catchDefect(performAttempt(claimed, performing), (defect) =>
          Effect.logError("an attempt failed, the sweep will end it", defect)
        )
        return Effect.sync(() => {
          beginPerforming(performing, claimed.attempt, claimed.claimedAtNanos)
          // The writer runs this after a commit: its neighbours must not wait for the start of a send.
          begin(Effect.andThen(Effect.yieldNow, send))
        })
      }
      yield* resumeRemote(performing)
      // The first one ends those of earlier processes; after it there are none but this one's and those of executors.
      let isFirst = true
      const sweep = Effect.suspend(() =>
        isFirst || performing.size > 0 ? endOverdueAttempts(processId, performing, perform) : Effect.void
      )
      yield* sweep.pipe(
        Effect.tap(() =>
          Effect.sync(() => {
            isFirst = false
          })
        ),
        Effect.catchCause((cause) => logRetry("the sweep for lost attempts failed, it will run again", cause)),
        Effect.repeat(Schedule.spaced(SWEEP_INTERVAL_MS)),
        Effect.forkScoped
      )
      if (isHere) {
        yield* bus.subscribe("execution", {
          StartExecution: (message) => startExecution(message, processId, perform)
        })
      }
      return yield* makeDesk(performing)
    })
  )

/** Takes up what executors have open since before this start: they go on meanwhile, and report here. */
const resumeRemote = Effect.fnUntraced(function* (performing: Performing) {
  const store = yield* AttemptStore
  const transaction = yield* Transaction
  const leases = yield* retryStorage(transaction.run(store.remoteOfAllTenants))
  const now = yield* DateTime.now
  const nowNanos = yield* Clock.monotonicTimeNanos
  for (const lease of leases) resumePerforming(performing, lease, now, nowNanos)
})
