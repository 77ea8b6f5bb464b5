import { Clock, Effect, References, type Scope } from "effect"
import { TestClock } from "effect/testing"

/** How long a test waits for what has to happen. It never does on a machine that works, so it may be long. */
export const WAIT_MS = 60_000
/** For a test that waits a few times: the wait that was in vain is to be named before the runner ends the test. */
export const TEST_TIMEOUT_MS = 4 * WAIT_MS
const POLL_INTERVAL_MS = 5

/** The body of a test that runs on the real clock. */
export const live =
  <A, E>(effect: Effect.Effect<A, E, Scope.Scope>) =>
  (): Promise<A> =>
    Effect.runPromise(Effect.scoped(Effect.provideService(effect, References.MinimumLogLevel, "None")))

/** The body of a test that runs on the test clock, which starts at 1970 and moves when told to. */
export const onTestClock = <A, E>(effect: Effect.Effect<A, E, Scope.Scope>) =>
  live(Effect.provide(effect, TestClock.layer()))

/** Lets every fiber run that does not wait for the clock. `TestClock.adjust` waits only for those that it wakes. */
export const settle = Effect.repeat(Effect.yieldNow, { times: 200 })

/** Waits for the effect on the real clock. Dies after `WAIT_MS`, with `what` was waited for. */
export const inTime =
  (what: string) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.timeoutOrElse(effect, {
      duration: WAIT_MS,
      orElse: () => Effect.die(new Error(`waited ${WAIT_MS} ms in vain until ${what}`))
    })

/** Polls on the real clock until the probe gives true. Dies after `WAIT_MS`, with `what` was waited for. */
export const until = Effect.fnUntraced(function* <E, R>(what: string, probe: Effect.Effect<boolean, E, R>) {
  const startedAt = yield* Clock.currentTimeMillis
  while (!(yield* probe)) {
    if ((yield* Clock.currentTimeMillis) - startedAt > WAIT_MS) {
      return yield* Effect.die(new Error(`waited ${WAIT_MS} ms in vain until ${what}`))
    }
    yield* Effect.sleep(POLL_INTERVAL_MS)
  }
})
