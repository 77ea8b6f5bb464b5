import { toMillis } from "@event-service-agent/schemas/time"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { describe, expect, it } from "vitest"
import { FIRE_BATCH_SIZE } from "../src/workflows/fire-due-timers.ts"
import { callOf, correlationOf, DAY, inWorld, keyOf, SECOND, START, type World, YEAR } from "./world.ts"

/** What has fired, times in milliseconds after `START`. */
const firedIn = (world: World) =>
  world.fired.map((message) => ({
    call: callOf(message),
    version: message.version,
    dueAt: toMillis(message.payload.dueAt) - START,
    reachedAt: toMillis(message.payload.reachedAt) - START
  }))
const callsFired = (world: World) => firedIn(world).map(({ call }) => call)

describe("the timer", () => {
  it(
    "publishes DueTimeReached at the due time, and not a millisecond before",
    inWorld(
      Effect.fnUntraced(function* (world) {
        // The second timer wakes the module when the first one is almost due.
        yield* world.arm([
          { call: 1, dueAt: 3 * SECOND, version: 4 },
          { call: 2, dueAt: 3 * SECOND - 1 }
        ])
        yield* world.pass(3 * SECOND - 1)
        expect(callsFired(world)).toEqual([2])
        yield* world.pass(1)
        expect(firedIn(world)[1]).toEqual({ call: 1, version: 4, dueAt: 3 * SECOND, reachedAt: 3 * SECOND })
        expect(world.fired[1]).toMatchObject({
          tenantId: keyOf(1).tenantId,
          aggregateType: "Timer",
          correlationId: correlationOf(1),
          causationId: null
        })
      })
    )
  )

  it(
    "fires at once what is overdue when it is armed",
    inWorld(
      Effect.fnUntraced(function* (world) {
        yield* world.arm([
          { call: 1, dueAt: -DAY },
          { call: 2, dueAt: 0 }
        ])
        yield* world.settled
        expect(callsFired(world)).toEqual([1, 2])
      })
    )
  )

  it(
    "wakes up for a timer that is due before all others",
    inWorld(
      Effect.fnUntraced(function* (world) {
        for (const dueAt of [4_000, 3_000, 2_000, 1_000]) {
          yield* world.arm([{ call: dueAt, dueAt }])
          yield* world.settled
        }
        yield* world.pass(4 * SECOND)
        expect(firedIn(world).map(({ dueAt, reachedAt }) => [dueAt, reachedAt - dueAt])).toEqual([
          [1_000, 0],
          [2_000, 0],
          [3_000, 0],
          [4_000, 0]
        ])
      })
    )
  )

  it(
    "fires thousands of timers of one instant in that instant, each once",
    inWorld(
      Effect.fnUntraced(function* (world) {
        const calls = Array.from({ length: 5_000 }, (_, call) => call)
        yield* world.arm(calls.map((call) => ({ call, dueAt: 7 * SECOND })))
        yield* world.pass(7 * SECOND)
        expect(callsFired(world).sort((a, b) => a - b)).toEqual(calls)
        expect(new Set(firedIn(world).map(({ reachedAt }) => reachedAt))).toEqual(new Set([7 * SECOND]))
      })
    )
  )

  it(
    "fires a moved timer at its new time only, and a cancelled one never",
    inWorld(
      Effect.fnUntraced(function* (world) {
        yield* world.arm([1, 2, 3].map((call) => ({ call, dueAt: 2 * SECOND })))
        yield* world.arm([
          { call: 1, dueAt: 4 * SECOND, version: 2 },
          { call: 2, dueAt: SECOND, version: 2 }
        ])
        yield* world.disarm([3, 3, 4])
        yield* world.pass(10 * SECOND)
        expect(firedIn(world)).toEqual([
          { call: 2, version: 2, dueAt: SECOND, reachedAt: SECOND },
          { call: 1, version: 2, dueAt: 4 * SECOND, reachedAt: 4 * SECOND }
        ])
      })
    )
  )

  it(
    "fires once when ScheduleTimer is handled twice",
    inWorld(
      Effect.fnUntraced(function* (world) {
        const timer = { call: 1, dueAt: 2 * SECOND }
        yield* world.arm([timer, timer])
        yield* world.pass(SECOND)
        yield* world.arm([timer])
        yield* world.pass(10 * SECOND)
        expect(callsFired(world)).toEqual([1])
      })
    )
  )

  it(
    "waits ten years in short sleeps, and is no more than a sweep late when the clock jumps there",
    inWorld(
      Effect.fnUntraced(function* (world) {
        yield* world.arm([{ call: 1, dueAt: 10 * YEAR }])
        yield* world.pass(60 * SECOND)
        yield* world.jump(10 * YEAR - 61 * SECOND)
        yield* TestClock.adjust(SECOND - 1)
        expect(world.fired).toEqual([])
        yield* TestClock.adjust(5 * SECOND)
        yield* world.settled
        expect(callsFired(world)).toEqual([1])
        expect(world.longestSleepMs()).toBe(5 * SECOND)
      })
    )
  )

  it(
    "does not fire while the clock, set back a day, has yet to reach the due time again",
    inWorld(
      Effect.fnUntraced(function* (world) {
        yield* world.arm([{ call: 1, dueAt: 3 * SECOND }])
        yield* world.pass(2 * SECOND)
        yield* world.jump(-DAY)
        yield* world.pass(60 * SECOND)
        expect(world.fired).toEqual([])
        yield* world.arm([{ call: 2, dueAt: -DAY + 70 * SECOND }])
        yield* world.pass(8 * SECOND)
        expect(firedIn(world)).toEqual([
          { call: 2, version: 1, dueAt: -DAY + 70 * SECOND, reachedAt: -DAY + 70 * SECOND }
        ])
        yield* world.jump(DAY - 70 * SECOND + 3 * SECOND)
        yield* world.pass(5 * SECOND)
        expect(callsFired(world)).toEqual([2, 1])
      })
    )
  )

  it(
    "is on time when its own sleeps become a day longer",
    inWorld(
      Effect.fnUntraced(function* (world) {
        yield* world.arm([{ call: 1, dueAt: 3 * SECOND }])
        yield* world.settled
        yield* TestClock.setTime(-DAY)
        yield* world.arm([{ call: 2, dueAt: -DAY + SECOND }])
        yield* world.pass(SECOND)
        expect(firedIn(world)).toEqual([{ call: 2, version: 1, dueAt: -DAY + SECOND, reachedAt: -DAY + SECOND }])
        yield* TestClock.setTime(3 * SECOND)
        yield* world.settled
        expect(firedIn(world)[1]).toEqual({ call: 1, version: 1, dueAt: 3 * SECOND, reachedAt: 3 * SECOND })
      })
    )
  )

  it(
    "fires after a restart what became due while it was down, and what was armed or cancelled meanwhile",
    inWorld(
      Effect.fnUntraced(function* (world) {
        yield* world.arm([1, 2, 3, 100].map((call) => ({ call, dueAt: call * SECOND })))
        yield* world.pass(SECOND)
        yield* world.stop
        yield* TestClock.adjust(60 * SECOND)
        yield* world.arm([{ call: 4, dueAt: 4 * SECOND }])
        yield* world.disarm([100])
        expect(callsFired(world)).toEqual([1])
        yield* world.start
        yield* world.settled
        expect(callsFired(world)).toEqual([1, 2, 3, 4])
        yield* world.stop
        yield* world.start
        yield* world.pass(60 * SECOND)
        expect(callsFired(world)).toEqual([1, 2, 3, 4])
      })
    )
  )

  it(
    "gives every tenant its turn, when one has more overdue timers than a unit can fire",
    inWorld(
      Effect.fnUntraced(function* (world) {
        const many = Array.from({ length: 5 * FIRE_BATCH_SIZE }, (_, n) => ({ call: 3 * n, dueAt: SECOND }))
        const few = [1, 2, 4].map((call) => ({ call, dueAt: 2 * SECOND }))
        yield* world.arm([...many, ...few])
        yield* world.settled
        yield* world.stop
        yield* TestClock.adjust(DAY)
        yield* world.start
        yield* world.settled
        const fired = callsFired(world)
        expect(fired).toHaveLength(many.length + few.length)
        expect(fired.slice(0, 2 * FIRE_BATCH_SIZE)).toEqual(expect.arrayContaining([1, 2, 4]))
      })
    )
  )

  it(
    "fires each timer once, after the storage has refused for a while",
    inWorld(
      Effect.fnUntraced(function* (world) {
        yield* world.arm([1, 2].map((call) => ({ call, dueAt: SECOND })))
        yield* world.settled
        yield* world.refuse(3)
        yield* TestClock.adjust(SECOND)
        expect(world.fired).toEqual([])
        yield* world.pass(SECOND)
        expect(callsFired(world)).toEqual([1, 2])
      })
    )
  )

  it(
    "looks at the storage when a timer is due and at each sweep, not for each timer that is armed",
    inWorld(
      Effect.fnUntraced(function* (world) {
        yield* world.arm([{ call: 0, dueAt: 7 * SECOND }])
        yield* world.settled
        const before = world.looks()
        for (let call = 1; call <= 500; call++) yield* world.arm([{ call, dueAt: DAY + call }])
        yield* world.pass(12 * SECOND)
        // At 5 s the sweep, at 7 s the timer, at 12 s the sweep again.
        expect(world.looks() - before).toBe(3)
      })
    )
  )

  it(
    "tells in its debug lines which call they are about",
    inWorld(
      Effect.fnUntraced(function* (world) {
        yield* world.arm([1, 2].map((call) => ({ call, dueAt: SECOND })))
        yield* world.disarm([2])
        yield* world.pass(SECOND)
        const ofTimer = world.lines.filter(({ text }) => text.startsWith("timer "))
        const about = (call: number) => expect.objectContaining({ ...keyOf(call), correlationId: correlationOf(call) })
        expect(ofTimer).toEqual([
          { level: "Debug", text: "timer armed for 2027-01-01T00:00:01.000Z", annotations: about(1) },
          { level: "Debug", text: "timer armed for 2027-01-01T00:00:01.000Z", annotations: about(2) },
          { level: "Debug", text: "timer disarmed", annotations: about(2) },
          { level: "Debug", text: "timer fired", annotations: about(1) }
        ])
      })
    )
  )
})
