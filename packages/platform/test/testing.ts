import { Effect, References, type Scope } from "effect"
import { TestClock } from "effect/testing"

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
