import { EventBusPort } from "@event-service-agent/platform/event-bus"
import type { HttpClientPort } from "@event-service-agent/platform/http-client-port"
import type { RequestVault } from "@event-service-agent/platform/request-vault"
import { logRetry } from "@event-service-agent/platform/storage-error"
import { Transaction } from "@event-service-agent/platform/transaction"
import { Effect, FiberSet, Layer, Schedule } from "effect"
import type { AttemptStore } from "./ports/attempt-store.ts"
import { endOverdueAttempts } from "./workflows/end-overdue-attempts.ts"
import { beginPerforming, type Performing, performAttempt } from "./workflows/perform-attempt.ts"
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
}

/**
 * Performs service calls: for each `StartExecution` one attempt with its `ExecutionStarted` and at most one request, and
 * one outcome. Where the call allows for it, a lost attempt is followed by a second one. When its scope ends it takes
 * no new work and waits for the sends that run. Those that take longer are cut off, and the next start ends them as
 * `OutcomeUnknown`.
 */
export const layer = ({ processId = crypto.randomUUID(), drainGraceMs = DRAIN_GRACE_MS }: Options = {}) =>
  Layer.effectDiscard(
    Effect.gen(function* () {
      const bus = yield* EventBusPort
      const transaction = yield* Transaction
      const performing: Performing = new Map()

      // Finalizers run from the last to the first: no new work, then the wait, then the set cuts off what still runs.
      const sends = yield* FiberSet.make<void>()
      const begin = yield* FiberSet.runtime(sends)<Sending>()
      yield* Effect.addFinalizer(() =>
        // An empty unit comes back after the hooks of all earlier ones: each durable claim has begun its send by then.
        Effect.ignore(transaction.run(Effect.void)).pipe(
          Effect.andThen(logDrain(sends, drainGraceMs)),
          Effect.andThen(FiberSet.awaitEmpty(sends)),
          Effect.timeoutOrElse({ duration: drainGraceMs, orElse: () => logCutOff(sends) })
        )
      )
      const perform: Perform = (claimed) => {
        const send = Effect.catchDefect(performAttempt(claimed, performing), (defect) =>
          Effect.logError("an attempt failed, the sweep will end it", defect)
        )
        return Effect.sync(() => {
          beginPerforming(performing, claimed)
          // The writer runs this after a commit: its neighbours must not wait for the start of a send.
          begin(Effect.andThen(Effect.yieldNow, send))
        })
      }
      // The first one ends those of earlier processes; after it there are none but this one's.
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
      yield* bus.subscribe("execution", {
        StartExecution: (message) => startExecution(message, processId, perform)
      })
    })
  )

const logDrain = Effect.fnUntraced(function* (sends: FiberSet.FiberSet<void>, graceMs: number) {
  const count = yield* FiberSet.size(sends)
  if (count > 0) yield* Effect.logInfo(`waiting for requests under way: ${count}, at most ${graceMs / 1_000} s`)
})

const logCutOff = Effect.fnUntraced(function* (sends: FiberSet.FiberSet<void>) {
  const count = yield* FiberSet.size(sends)
  yield* Effect.logWarning(
    `requests cut off, since they took too long: ${count}. The next start ends them as OutcomeUnknown`
  )
})
