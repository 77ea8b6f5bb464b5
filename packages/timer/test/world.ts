import { EventBusPort } from "@event-service-agent/platform/event-bus"
import { Outbox } from "@event-service-agent/platform/outbox"
import { StorageError } from "@event-service-agent/platform/storage-error"
import { onTestClock } from "@event-service-agent/platform/testing"
import { TimerPort } from "@event-service-agent/platform/timer-port"
import { Transaction, UnitOfWork } from "@event-service-agent/platform/transaction"
import { CorrelationId, ServiceCallId, type ServiceCallKey, TenantId } from "@event-service-agent/schemas/ids"
import type { Message } from "@event-service-agent/schemas/messages/catalogue"
import { fromMillis, toMillis } from "@event-service-agent/schemas/time"
import { Clock, Duration, Effect, Exit, Layer, Logger, type LogLevel, Option, References, Scope } from "effect"
import { TestClock } from "effect/testing"
import { TimerStore } from "../src/ports/timer-store.ts"
import * as Timer from "../src/timer.ts"

export const START = Date.UTC(2027, 0, 1)
export const SECOND = 1_000
export const DAY = 86_400 * SECOND
export const YEAR = 365 * DAY
const SETTLE_POLLS_MAX = 1_000

const uuid = (n: number) => `00000000-0000-7000-8000-${n.toString(16).padStart(12, "0")}`

/** Calls are numbered in tests; each number is a call of one of three tenants. */
export const keyOf = (call: number): ServiceCallKey => ({
  tenantId: TenantId.make(`tenant-${call % 3}`),
  serviceCallId: ServiceCallId.make(uuid(call))
})
export const callOf = ({ aggregateId }: Message) => Number.parseInt(aggregateId.slice(-12), 16)
export const correlationOf = (call: number) => CorrelationId.make(uuid(call + 0xffff_0000))

/** A timer as tests see it: times in milliseconds after `START`. */
export interface Armed {
  readonly call: number
  readonly dueAt: number
  readonly version?: number
}

/**
 * A wall clock that runs with the test clock and can be set, which leaves sleeps alone: as on a real machine, they are
 * timeouts on a monotonic clock. `TestClock.setTime` is another thing: forwards it lets the time pass, and after a step
 * back every sleep takes as much longer.
 */
const makeWallClock = Effect.gen(function* () {
  const testClock = yield* TestClock.testClockWith(Effect.succeed)
  const wall = { offsetMs: START, longestSleepMs: 0 }
  const now = () => testClock.currentTimeMillisUnsafe() + wall.offsetMs
  const clock: TestClock.TestClock = {
    ...testClock,
    currentTimeMillisUnsafe: now,
    currentTimeMillis: Effect.sync(now),
    sleep: (duration) => {
      wall.longestSleepMs = Math.max(wall.longestSleepMs, Duration.toMillis(duration))
      return testClock.sleep(duration)
    }
  }
  return { wall, clock }
})
type Wall = Effect.Success<typeof makeWallClock>["wall"]

/** The timer module between the real ports, in memory, with a subscriber in orchestration's place. */
const makeWorld = Effect.fnUntraced(function* (wall: Wall, lines: ReadonlyArray<LogLine>) {
  const store = yield* TimerStore
  let looks = 0
  let refusals = 0
  /** The real store, which can be told to refuse. */
  const watchedStore: TimerStore["Service"] = {
    ...store,
    takeDueAcrossTenants: (now, limit) =>
      Effect.gen(function* () {
        looks++
        const taken = yield* store.takeDueAcrossTenants(now, limit)
        if (refusals === 0) return taken
        refusals--
        return yield* new StorageError({ operation: "take due timers", cause: "the disk is full" })
      })
  }

  const bus = yield* EventBusPort
  const timers = yield* TimerPort
  const outbox = yield* Outbox
  const transaction = yield* Transaction
  const scope = yield* Effect.scope
  const fired: Array<Message<"DueTimeReached">> = []
  const unexpected = (message: Message) => Effect.die(`unexpected ${message.type}`)

  yield* bus.subscribe("orchestration", {
    DueTimeReached: (message) =>
      Effect.map(UnitOfWork, (unit) => unit.afterCommit(Effect.sync(() => fired.push(message)))),
    SubmitServiceCall: unexpected,
    CancelServiceCall: unexpected,
    SetServiceCallTags: unexpected,
    ExecutionStarted: unexpected,
    ExecutionSucceeded: unexpected,
    ExecutionFailed: unexpected
  })

  const originOf = (call: number, version: number) => ({
    version,
    timestamp: fromMillis(START),
    correlationId: correlationOf(call),
    causationId: null
  })
  /** Publishes as one unit. */
  const arm = (armed: ReadonlyArray<Armed>) =>
    Effect.forEach(armed, ({ call, dueAt, version = 1 }) =>
      timers.schedule(keyOf(call), fromMillis(START + dueAt), originOf(call, version))
    ).pipe(transaction.run)
  const disarm = (calls: ReadonlyArray<number>) =>
    Effect.forEach(calls, (call) => timers.cancel(keyOf(call), originOf(call, 9))).pipe(transaction.run)

  const isHandled = Effect.gen(function* () {
    const ofTimer = yield* outbox.deliveriesAfter("timer", 0, 1)
    const ofOrchestration = yield* outbox.deliveriesAfter("orchestration", 0, 1)
    return ofTimer.deliveries.length + ofOrchestration.deliveries.length === 0
  })
  const isSettled = Effect.gen(function* () {
    const next = Option.map(yield* store.earliestAcrossTenants, toMillis)
    const now = yield* Clock.currentTimeMillis
    return (yield* isHandled) && !Option.exists(next, (dueAt) => dueAt <= now)
  })
  /** Waits without time passing. */
  const until = Effect.fnUntraced(function* (condition: typeof isSettled, otherwise: string) {
    for (let polls = 0; polls < SETTLE_POLLS_MAX; polls++) {
      if (yield* transaction.run(condition)) return
    }
    return yield* Effect.die(otherwise)
  })
  const handled = until(isHandled, "a message was not handled")
  const settled = until(isSettled, "a timer that is due did not fire, or a message was not handled")

  let running: Scope.Closeable | undefined
  const start = Effect.gen(function* () {
    running = yield* Scope.fork(scope)
    // A layer that is built twice would otherwise be the same one.
    yield* Layer.buildWithScope(Layer.fresh(Timer.layer), running)
  }).pipe(Effect.provideService(TimerStore, watchedStore))
  const stop = Effect.suspend(() => (running === undefined ? Effect.void : Scope.close(running, Exit.void)))

  return {
    fired,
    lines,
    /** Milliseconds after `START`. */
    now: Effect.map(Clock.currentTimeMillis, (millis) => millis - START),
    arm,
    disarm,
    /** Waits, in no time, until all messages are handled and no armed timer is due. */
    settled,
    start,
    stop,
    /** Lets time pass; the timer wakes whenever its time has come. */
    pass: (millis: number) => Effect.andThen(handled, TestClock.adjust(millis)).pipe(Effect.andThen(settled)),
    /** Sets the wall clock, in no time. */
    jump: (millis: number) =>
      Effect.sync(() => {
        wall.offsetMs += millis
      }),
    /** The next looks at the store fail. */
    refuse: (times: number) =>
      Effect.sync(() => {
        refusals = times
      }),
    looks: () => looks,
    longestSleepMs: () => wall.longestSleepMs
  }
})

export type World = Effect.Success<ReturnType<typeof makeWorld>>

/** The body of a test in a new world, in which the timer module runs. */
export const inWorld = <E>(use: (world: World) => Effect.Effect<void, E, EventBusPort | Transaction>) => {
  const lines: Array<LogLine> = []
  const ports = Layer.merge(TimerPort.layer, TimerStore.layerMemory).pipe(
    Layer.provideMerge(EventBusPort.layerMemory),
    Layer.provideMerge(layerLog(lines))
  )
  return onTestClock(
    Effect.gen(function* () {
      const { wall, clock } = yield* makeWallClock
      const inside = Effect.gen(function* () {
        const world = yield* makeWorld(wall, lines)
        yield* world.start
        yield* world.settled
        yield* use(world)
      })
      yield* inside.pipe(
        Effect.provide(ports),
        Effect.provideService(Clock.Clock, clock),
        Effect.provideService(References.MinimumLogLevel, "Debug")
      )
    })
  )
}

interface LogLine {
  readonly level: LogLevel.LogLevel
  readonly text: string
  readonly annotations: Readonly<Record<string, unknown>>
}

const layerLog = (lines: Array<LogLine>) =>
  Logger.layer([
    Logger.make(({ fiber, logLevel, message }) => {
      lines.push({
        level: logLevel,
        text: String(message),
        annotations: fiber.getRef(References.CurrentLogAnnotations)
      })
    })
  ])
