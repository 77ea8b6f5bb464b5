import type { HttpClientPort } from "@event-service-agent/platform/http-client-port"
import type { RequestVault } from "@event-service-agent/platform/request-vault"
import type { MessageId } from "@event-service-agent/schemas/ids"
import { DateTime, Deferred, Effect, FiberSet, Layer, Option, Semaphore } from "effect"
import { annotationsOf, requestOmitted } from "./domain/attempt.ts"
import { onAgentClock } from "./domain/remote.ts"
import { ExecutorLink, type Start, type StartTaken } from "./ports/executor-link.ts"
import { askForAttempt, type GrantedAttempt } from "./workflows/ask-for-attempt.ts"
import { drain } from "./workflows/drain.ts"
import { reportUntilConfirmed } from "./workflows/report-until-confirmed.ts"
import { sendInSpan } from "./workflows/send-in-span.ts"

/** Calls that an executor has in flight, from the question for the attempt until its outcome is confirmed. */
export const IN_FLIGHT_MAX = 200
/** How long a stopping executor waits for the calls it has in flight. */
export const DRAIN_GRACE_MS = 20_000

export interface Options {
  /** Names this start of the program, and no other: a name that is used twice sends twice. A new random one if absent. */
  readonly executorId?: string
  /** `IN_FLIGHT_MAX` if absent. */
  readonly inFlightMax?: number
  /** Milliseconds, `DRAIN_GRACE_MS` if absent. */
  readonly drainGraceMs?: number
}

/**
 * Execution's sending half, without a database: for each start it asks for the attempt, sends when the grant arrives
 * within the lease, and reports the outcome until it is confirmed. When its scope ends it takes no new starts and waits
 * for what is in flight. What takes longer is cut off, and the agent ends it as `OutcomeUnknown` after its lease.
 */
export const layer = ({
  executorId = crypto.randomUUID(),
  inFlightMax = IN_FLIGHT_MAX,
  drainGraceMs = DRAIN_GRACE_MS
}: Options = {}) =>
  Layer.effectDiscard(
    Effect.gen(function* () {
      const link = yield* ExecutorLink
      const places = yield* Semaphore.make(inFlightMax)
      let occupied = 0
      const release = Effect.suspend(() => {
        occupied--
        return places.release(1)
      })
      /** The starts that are in flight, or were when a bug struck, with the answer when they come again. */
      const known = new Map<MessageId, StartTaken>()

      // Finalizers run from the last to the first: no new work, then the wait, then the set cuts off what still runs.
      const inFlight = yield* FiberSet.make<void>()
      const begin = yield* FiberSet.runtime(inFlight)<ExecutorLink | HttpClientPort | RequestVault>()
      yield* Effect.addFinalizer(() =>
        drain(inFlight, drainGraceMs, "The agent ends them as OutcomeUnknown after their lease")
      )

      const perform = Effect.fnUntraced(
        function* (start: Start, taken: Deferred.Deferred<StartTaken>) {
          const id = start.message.messageId
          const attempt = yield* askForAttempt(start, executorId)
          if (typeof attempt === "string") {
            known.delete(id)
            return yield* Deferred.succeed(taken, attempt === "Refused" ? "done" : "later")
          }
          known.set(id, "done")
          yield* Deferred.succeed(taken, "done")
          yield* sendAndReport(attempt, start)
          // Confirmed, and so not granted again; or too late, and so never sent.
          return known.delete(id)
        },
        (effect, { message: { messageId } }, taken) =>
          Effect.catchDefect(effect, (defect) => {
            // What may have been sent stays known for good: while its attempt is open, it would be granted again.
            if (Deferred.doneUnsafe(taken, Effect.succeed("later"))) known.delete(messageId)
            return Effect.logError("an attempt failed, the agent will end it", defect)
          })
      )

      const take = (start: Start): Effect.Effect<StartTaken> =>
        Effect.uninterruptibleMask((restore) => {
          const id = start.message.messageId
          const answer = known.get(id)
          if (answer !== undefined) return Effect.succeed(answer)
          known.set(id, "later")
          const taken = Deferred.makeUnsafe<StartTaken>()
          return restore(places.take(1)).pipe(
            Effect.onInterrupt(() => Effect.sync(() => known.delete(id))),
            // It goes on when the handler is interrupted: its attempt may be granted already.
            Effect.andThen(
              Effect.sync(() => {
                occupied++
                begin(Effect.asVoid(Effect.ensuring(perform(start, taken), release)))
              })
            ),
            Effect.andThen(restore(Deferred.await(taken)))
          )
        })
      const freePlaces = Effect.sync(() => inFlightMax - occupied)
      yield* link.subscribe(take, { places: places.withPermits(1)(freePlaces) })
    })
  )

const sendAndReport = Effect.fnUntraced(
  function* (granted: GrantedAttempt, { isSealedOmitted }: Start) {
    const { attempt, outcome } = isSealedOmitted
      ? { ...granted, outcome: Option.some(requestOmitted(yield* DateTime.now)) }
      : yield* sendInSpan(granted)
    if (Option.isNone(outcome)) return
    yield* reportUntilConfirmed(attempt, onAgentClock(outcome.value, granted.aheadMs))
  },
  (effect, { attempt }) => Effect.annotateLogs(effect, annotationsOf(attempt))
)
