import { toMillis } from "@event-service-agent/schemas/time"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import { expect, it } from "vitest"
import { type Armed, callOf, DAY, inWorld, SECOND, START, type World, YEAR } from "./world.ts"

const RUNS = 25
const STEPS = 8
/** Ends the search for a smaller counterexample. */
const TIME_LIMIT_MS = 200_000
/** 10,000 timers over all runs. */
const NEW_TIMERS_PER_STEP = 10_000 / RUNS / STEPS

/** Due times in milliseconds from the moment of arming. Many share an instant. */
const anyLater = fc.oneof(
  fc.integer({ min: 1, max: 20 * SECOND }),
  fc.constantFrom(SECOND, 5 * SECOND, DAY, 10 * YEAR),
  fc.integer({ min: 1, max: 2 * DAY })
)
const anyDueIn = fc.oneof(
  { weight: 5, arbitrary: anyLater },
  { weight: 1, arbitrary: fc.integer({ min: -DAY, max: 0 }) }
)
const anyPick = fc.nat({ max: 1_000 })

const anyHappening = fc.oneof(
  fc.record({ type: fc.constant("time passes" as const), millis: fc.integer({ min: 0, max: 20 * SECOND }) }),
  fc.record({ type: fc.constant("the clock jumps" as const), millis: fc.integer({ min: -DAY, max: DAY }) }),
  fc.record({ type: fc.constant("a restart" as const), millis: fc.integer({ min: -DAY, max: DAY }) }),
  fc.record({ type: fc.constant("the storage refuses" as const), millis: fc.constant(2 * 5 * SECOND) })
)
const anyStep = fc.record({
  arm: fc.array(fc.record({ dueIn: anyDueIn, isTwice: fc.boolean() }), {
    minLength: NEW_TIMERS_PER_STEP,
    maxLength: NEW_TIMERS_PER_STEP
  }),
  move: fc.array(fc.record({ pick: anyPick, dueIn: anyLater }), { maxLength: 20 }),
  cancel: fc.array(anyPick, { maxLength: 10 }),
  happening: anyHappening
})
type Step = typeof anyStep extends fc.Arbitrary<infer A> ? A : never

const happen = Effect.fnUntraced(function* (world: World, { type, millis }: Step["happening"]) {
  switch (type) {
    case "time passes":
      return yield* world.pass(millis)
    case "the clock jumps":
      yield* world.jump(millis)
      return yield* world.pass(5 * SECOND)
    case "a restart":
      yield* world.stop
      yield* world.jump(millis)
      yield* world.start
      return yield* world.settled
    case "the storage refuses":
      yield* world.refuse(2)
      yield* TestClock.adjust(millis)
      yield* world.refuse(0)
      return yield* world.settled
  }
})

/** Takes the steps, and compares after each one what has fired with what should have. */
const followModel = Effect.fnUntraced(function* (world: World, steps: ReadonlyArray<Step>) {
  const armed = new Map<number, Armed>()
  const due: Array<string> = []
  let calls = 0
  let version = 0

  const compare = Effect.gen(function* () {
    yield* world.settled
    const now = yield* world.now
    for (const timer of armed.values()) {
      if (timer.dueAt > now) continue
      armed.delete(timer.call)
      due.push(`${timer.call} ${timer.version} ${timer.dueAt}`)
    }
    const fired = world.fired.map((message) => {
      expect(toMillis(message.payload.reachedAt)).toBeGreaterThanOrEqual(toMillis(message.payload.dueAt))
      return `${callOf(message)} ${message.version} ${toMillis(message.payload.dueAt) - START}`
    })
    expect(fired.sort()).toEqual(due.sort())
  })
  const arm = Effect.fnUntraced(function* (timers: ReadonlyArray<Armed>) {
    for (const timer of timers) armed.set(timer.call, timer)
    yield* world.arm(timers)
    yield* compare
  })
  const picked = (pick: number) => [...armed.keys()][pick % armed.size] ?? 0

  for (const step of steps) {
    const now = yield* world.now
    yield* arm(
      step.arm.flatMap(({ dueIn, isTwice }) => {
        const timer = { call: ++calls, dueAt: now + dueIn, version: ++version }
        // A timer that is due may fire between the two, and the second message then arms it anew.
        return isTwice && dueIn > 0 ? [timer, timer] : [timer]
      })
    )
    yield* arm(step.move.map(({ pick, dueIn }) => ({ call: picked(pick), dueAt: now + dueIn, version: ++version })))
    const cancelled = step.cancel.map(picked)
    for (const call of cancelled) armed.delete(call)
    yield* world.disarm(cancelled)
    yield* compare
    yield* happen(world, step.happening)
    yield* compare
  }
  yield* world.jump(11 * YEAR)
  yield* world.pass(5 * SECOND)
  yield* compare
  expect(armed.size).toBe(0)
})

it("fires every timer once and none early, whatever the clock, the storage and the tenants do", async () => {
  const follows = (steps: ReadonlyArray<Step>) => inWorld((world) => followModel(world, steps))()
  const anySteps = fc.array(anyStep, { minLength: STEPS, maxLength: STEPS })
  await fc.assert(fc.asyncProperty(anySteps, follows), {
    numRuns: RUNS,
    interruptAfterTimeLimit: TIME_LIMIT_MS,
    markInterruptAsFailure: true
  })
})
