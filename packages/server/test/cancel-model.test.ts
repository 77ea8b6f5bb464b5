import { Effect } from "effect"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import { expect, it } from "vitest"
import { ANSWER_MS, inWorld, type World } from "./cancel-world.ts"

const RUNS = 60
const STEPS_MAX = 25
const TIME_LIMIT_MS = 200_000
const CALLS_MAX = 10
const DUE_MS_MAX = 3_000
/** Turns of other fibers before a cancellation, in a race. */
const TURNS_MAX = 400

const anyPick = fc.nat(CALLS_MAX - 1)
const anyStep = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constant("submit" as const),
      dueIn: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: DUE_MS_MAX })),
      burst: fc.integer({ min: 2, max: 4 })
    })
  },
  {
    weight: 3,
    arbitrary: fc.record({ type: fc.constant("cancel" as const), pick: anyPick, isForWaiting: fc.boolean() })
  },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant("tag" as const),
      pick: anyPick,
      tag: fc.constantFrom("a", "b", "starred")
    })
  },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant("time passes" as const),
      millis: fc.integer({ min: 1, max: ANSWER_MS * 3 })
    })
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("the timer rings again" as const), pick: anyPick }) },
  {
    weight: 5,
    arbitrary: fc.record({
      type: fc.constant("cancel when it is due" as const),
      pick: anyPick,
      turns: fc.nat(TURNS_MAX),
      tagsToo: fc.boolean(),
      ringsToo: fc.boolean()
    })
  }
)
type Step = typeof anyStep extends fc.Arbitrary<infer A> ? A : never

const ENDS = ["ServiceCallSucceeded", "ServiceCallFailed", "ServiceCallCancelled"]

/** How often each way out of a race was seen over all runs: one that never is proves nothing. */
const seen = { cancelledInRace: 0, ranInRace: 0, cancelledWhileWaiting: 0, refused: 0, rangAfterCancel: 0 }

const eventsOf = (world: World, call: number) => world.saidOf(call).filter(({ type }) => type.startsWith("ServiceCall"))

/** What holds at every moment, however the messages came. */
const expectPromises = Effect.fnUntraced(function* (world: World, call: number) {
  const types = world.saidOf(call).map(({ type }) => type)
  const events = eventsOf(world, call)
  const ends = types.filter((type) => ENDS.includes(type))
  expect(ends.length).toBeLessThanOrEqual(1)
  expect(events.map(({ version }) => version)).toEqual(events.map((_, index) => index + 1))
  expect(world.sentOf(call)).toBeLessThanOrEqual(1)
  const found = yield* world.find(call)
  if (types.includes("ServiceCallCancelled")) {
    expect(found?._tag).toBe("Cancelled")
    expect(types).not.toContain("ServiceCallRunning")
    expect(types).not.toContain("StartExecution")
    expect(world.sentOf(call)).toBe(0)
  } else {
    expect(found?._tag).not.toBe("Cancelled")
  }
})

const follow = Effect.fnUntraced(function* (world: World, steps: ReadonlyArray<Step>) {
  const dueTimes = new Map<number, number>()
  const picked = (pick: number) => [...dueTimes.keys()][pick % Math.max(1, dueTimes.size)]

  /** A call that is due and has no place to run. */
  const findWaiting = Effect.gen(function* () {
    for (const call of dueTimes.keys()) {
      const found = yield* world.find(call)
      if (found?._tag === "Scheduled" && found.isDue) return call
    }
    return undefined
  })

  /** A timer that rings for a cancelled call changes nothing. */
  const ringInVain = Effect.fnUntraced(function* (call: number) {
    const events = eventsOf(world, call).length
    yield* world.ring(call, dueTimes.get(call) ?? 0)
    yield* world.settled
    seen.rangAfterCancel++
    expect(eventsOf(world, call)).toHaveLength(events)
    expect((yield* world.find(call))?._tag).toBe("Cancelled")
  })

  /** Lets the step happen, and looks at what it must not have changed. */
  const carryOut = Effect.fnUntraced(function* (step: Step) {
    if (step.type === "submit") {
      const dueAt = (yield* world.now) + step.dueIn
      for (let one = 0; one < step.burst && dueTimes.size < CALLS_MAX; one++) {
        const call = dueTimes.size
        dueTimes.set(call, dueAt)
        yield* world.submit(call, dueAt)
      }
      return
    }
    if (step.type === "time passes") return yield* TestClock.adjust(step.millis)
    const waiting = step.type === "cancel" && step.isForWaiting ? yield* findWaiting : undefined
    const call = waiting ?? picked(step.pick)
    if (call === undefined) return
    const dueAt = dueTimes.get(call) ?? 0
    const before = yield* world.find(call)
    const eventsBefore = eventsOf(world, call).length
    const isOpen = before?._tag === "Scheduled"
    switch (step.type) {
      case "cancel": {
        yield* world.cancel(call)
        yield* world.settled
        const after = yield* world.find(call)
        // Nothing else happens meanwhile: it wins until the call runs, also while that waits for its turn.
        expect(after?._tag).toBe(isOpen ? "Cancelled" : before?._tag)
        if (isOpen && before.isDue) seen.cancelledWhileWaiting++
        if (before?._tag === "Running") seen.refused++
        return expect(eventsOf(world, call)).toHaveLength(eventsBefore + (isOpen ? 1 : 0))
      }
      case "tag": {
        yield* world.tag(call, [step.tag])
        yield* world.settled
        const after = yield* world.find(call)
        expect([after?._tag, after?.tags]).toEqual([before?._tag, [step.tag]])
        return
      }
      case "the timer rings again": {
        yield* world.ring(call, dueAt)
        yield* world.settled
        return before?._tag === "Cancelled" ? yield* ringInVain(call) : undefined
      }
      case "cancel when it is due": {
        const wait = Math.max(0, dueAt - (yield* world.now))
        const others = Effect.gen(function* () {
          if (step.ringsToo) yield* world.ring(call, dueAt)
          if (step.tagsToo) yield* world.tag(call, ["in the race"])
        })
        const cancel = Effect.repeat(Effect.yieldNow, { times: step.turns }).pipe(Effect.andThen(world.cancel(call)))
        yield* Effect.all([TestClock.adjust(wait), others, cancel], { concurrency: "unbounded", discard: true })
        yield* world.settled
        if (!isOpen) return
        const after = yield* world.find(call)
        if (after?._tag === "Cancelled") seen.cancelledInRace++
        else seen.ranInRace++
        return after?._tag === "Cancelled" ? yield* ringInVain(call) : undefined
      }
    }
  })

  for (const step of steps) {
    yield* carryOut(step)
    yield* world.settled
    for (const call of dueTimes.keys()) yield* expectPromises(world, call)
  }
  // All the rest comes to its end, with one request.
  for (let round = 0; round <= CALLS_MAX; round++) {
    yield* TestClock.adjust(DUE_MS_MAX)
    yield* world.settled
  }
  for (const call of dueTimes.keys()) {
    yield* expectPromises(world, call)
    const { _tag } = (yield* world.find(call)) ?? { _tag: "none" }
    expect(["Cancelled", "Succeeded"]).toContain(_tag)
    expect(world.sentOf(call)).toBe(_tag === "Cancelled" ? 0 : 1)
  }
})

it("cancels a call until it runs and never after, sends nothing of a cancelled one, and ends each once", async () => {
  const follows = (steps: ReadonlyArray<Step>) => inWorld((world) => follow(world, steps))()
  const anySteps = fc.array(anyStep, { minLength: 4, maxLength: STEPS_MAX })
  await fc.assert(fc.asyncProperty(anySteps, follows), {
    numRuns: RUNS,
    interruptAfterTimeLimit: TIME_LIMIT_MS,
    markInterruptAsFailure: true
  })
  for (const [way, times] of Object.entries(seen)) expect({ way, isSeen: times > 0 }).toEqual({ way, isSeen: true })
})
