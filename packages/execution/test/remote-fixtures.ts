import { HttpClientPort } from "@event-service-agent/platform/http-client-port"
import { settle } from "@event-service-agent/platform/testing"
import { Transaction } from "@event-service-agent/platform/transaction"
import type { RequestSpec } from "@event-service-agent/schemas/http-request"
import { Clock, Context, Effect, Exit, Latch, Layer, Scope } from "effect"
import { TestClock } from "effect/testing"
import { AttemptDesk } from "../src/attempt-desk.ts"
import { layer as execution, type Options } from "../src/execution.ts"
import { type Options as ExecutorOptions, layer as executor } from "../src/executor.ts"
import { ExecutorLink } from "../src/ports/executor-link.ts"
import { OK, order, stuckClient } from "./fixtures.ts"
import { MemoryBroker } from "./memory-link.ts"

const notHere = HttpClientPort.layerScripted(() => Effect.die("it is not performed here"))

/** One start of the database process in its own scope. It performs nothing at first hand. */
export const startDesk = Effect.fnUntraced(function* (
  options: Options = {},
  client: Layer.Layer<HttpClientPort> = notHere
) {
  const scope = yield* Scope.fork(yield* Effect.scope)
  const built = yield* Layer.buildWithScope(
    execution({ isHere: false, drainGraceMs: 0, ...options }).pipe(Layer.provide(client)),
    scope
  )
  return { desk: Context.get(built, AttemptDesk), stop: Scope.close(scope, Exit.void) }
})

/** One start of an executor in its own scope, with its own clock if there is one. It does not wait when it stops. */
export const startExecutor = Effect.fnUntraced(function* (
  broker: MemoryBroker,
  client: Layer.Layer<HttpClientPort>,
  options: ExecutorOptions & { readonly clock?: Clock.Clock } = {}
) {
  const scope = yield* Scope.fork(yield* Effect.scope)
  const link = Layer.succeed(ExecutorLink, yield* broker.link)
  const clock = options.clock ?? (yield* Clock.clockWith(Effect.succeed))
  yield* Layer.buildWithScope(
    executor({ drainGraceMs: 0, ...options }).pipe(Layer.provide([client, link])),
    scope
  ).pipe(Effect.provideService(Clock.Clock, clock))
  return { stop: Scope.close(scope, Exit.void) }
})

/** Lets time go on in steps in which every fiber, also one that waits for the writer, has its turn. */
export const pass = Effect.fnUntraced(function* (millis: number) {
  const transaction = yield* Transaction
  for (let left = millis; left >= 0; left -= 1_000) {
    yield* TestClock.adjust(Math.min(left, 1_000))
    yield* Effect.ignore(transaction.run(Effect.void))
    yield* settle
  }
})

/** Runs the effect by a clock of the day that is so many milliseconds ahead of the test clock, and can be set. */
export const withWallClock = Effect.fnUntraced(function* <A, E, R>(
  use: (wall: { aheadMs: number }) => Effect.Effect<A, E, R>
) {
  const wall = { aheadMs: 0 }
  return yield* Effect.provideService(use(wall), Clock.Clock, yield* wallClock(wall))
})

/** The test clock, but for the time of day. */
export const wallClock = Effect.fnUntraced(function* (wall: { readonly aheadMs: number }) {
  const testClock = yield* TestClock.testClockWith(Effect.succeed)
  const clock: Clock.Clock = {
    ...testClock,
    currentTimeMillisUnsafe: () => testClock.currentTimeMillisUnsafe() + wall.aheadMs,
    currentTimeMillis: Effect.map(testClock.currentTimeMillis, (millis) => millis + wall.aheadMs)
  }
  return clock
})

/** A client that counts what it sends, and answers when the latch is open. */
export const counting = (latch = Latch.makeUnsafe(true)) => {
  const sent: Array<RequestSpec> = []
  const client = stuckClient((request) =>
    Effect.sync(() => sent.push(request)).pipe(Effect.andThen(latch.await), Effect.as(OK))
  )
  return { sent, client, latch }
}

/** A broker with the database process behind it, and one executor for each client. */
export const world = Effect.fnUntraced(function* (...clients: ReadonlyArray<Layer.Layer<HttpClientPort>>) {
  const broker = new MemoryBroker()
  const process = yield* startDesk()
  broker.desk = process.desk
  for (const client of clients) yield* startExecutor(broker, client)
  return { broker, process }
})

/** Orders the call and publishes its start. */
export const publish = Effect.fnUntraced(function* (broker: MemoryBroker, ...details: Parameters<typeof order>) {
  yield* order(...details)
  yield* broker.relay
  return broker.starts.at(-1)
})
