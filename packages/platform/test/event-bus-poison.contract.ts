import { Clock, Effect, Exit, Option, Scope } from "effect"
import { expect } from "vitest"
import { EventBusPort } from "../src/event-bus.ts"
import { TRIES_MAX } from "../src/failed-delivery.ts"
import { Outbox } from "../src/outbox.ts"
import { buried, deliveriesTo, MARKER, PAUSES_MS, type Promises, publish, record, take } from "./bus.ts"
import { keyOfCall, numbered } from "./messages.ts"
import { TEST_TIMEOUT_MS, until } from "./testing.ts"

/** The least time from the first try to the last, by the pauses. */
const ALL_PAUSES_MS = Array.from({ length: TRIES_MAX - 1 }, (_, index) =>
  Math.min(PAUSES_MS.firstMs * 2 ** index, PAUSES_MS.maxMs)
).reduce((sum, pauseMs) => sum + pauseMs)
/** Longer than any test waits. */
const NEVER_MS = 100 * TEST_TIMEOUT_MS

/** What every transport promises about messages that their consumer cannot handle. */
export const poisonContract = (promises: Promises): void => {
  promises(
    "tries a failing message ten times with backoff while other calls go on, then makes it a dead letter",
    Effect.gen(function* () {
      const outbox = yield* Outbox
      const { handled, tries } = yield* record({ poison: new Set([1]) })
      const startedAt = yield* Clock.currentTimeMillis
      yield* publish(numbered(1, 1), numbered(1, 2), numbered(2, 3))
      expect(yield* take(handled, 1)).toEqual([3])
      const letters = yield* buried(1)
      // A timer may be a little early.
      expect((yield* Clock.currentTimeMillis) - startedAt).toBeGreaterThan(ALL_PAUSES_MS / 2)
      expect(letters).toMatchObject([
        { consumer: "orchestration", key: keyOfCall(1), attempts: TRIES_MAX, error: "Error: poison 1" }
      ])
      expect(yield* outbox.deadLettersOf(keyOfCall(1))).toEqual(letters)
      expect(yield* outbox.deadLettersOf(keyOfCall(1, "other"))).toEqual([])
      const { seq = 0 } = letters[0] ?? {}
      expect(yield* outbox.deadLetter("orchestration", seq)).toEqual(Option.fromNullishOr(letters[0]))
      expect(yield* outbox.deadLetter("orchestration", seq + 1)).toEqual(Option.none())
      expect(yield* outbox.deadLetter("timer", seq)).toEqual(Option.none())
      const { tenantId, serviceCallId } = keyOfCall(1)
      const isOnly = Effect.map(
        outbox.unhandled("DueTimeReached", tenantId),
        (calls) => calls.size === 1 && calls.has(serviceCallId)
      )
      yield* until("only the call with the dead letter has an unhandled message", isOnly)
      yield* publish(numbered(1, 4))
      yield* publish(numbered(MARKER, MARKER))
      expect(yield* take(handled, 1)).toEqual([MARKER])
      expect(new Set(tries)).toEqual(new Set([1, 3, MARKER]))
      expect((yield* deliveriesTo("orchestration")).map(({ number }) => number)).toEqual([2, 4])
    })
  )

  promises(
    "handles 99 of 100 calls while the poison among them waits for its next try",
    Effect.gen(function* () {
      const calls = Array.from({ length: 500 }, (_, call) => call)
      const poison = new Set(calls.filter((call) => call % 100 === 0))
      const { handled } = yield* record({ poison })
      yield* publish(...calls.map((call) => numbered(call, call)))
      const healthy = yield* take(handled, calls.length - poison.size)
      expect(healthy.toSorted((a, b) => a - b)).toEqual(calls.filter((call) => !poison.has(call)))
      yield* publish(numbered(MARKER, MARKER))
      expect(yield* take(handled, 1)).toEqual([MARKER])
      const waiting = yield* deliveriesTo("orchestration")
      expect(waiting.map(({ number }) => number)).toEqual([...poison])
      for (const { attempts } of waiting) expect(attempts).toBeLessThanOrEqual(1)
    }),
    { firstMs: NEVER_MS, maxMs: NEVER_MS }
  )

  promises(
    "keeps all poison as dead letters for a replay",
    Effect.gen(function* () {
      const bus = yield* EventBusPort
      const outbox = yield* Outbox
      const calls = [1, 2, 3, 4, 5]
      const poison = new Set(calls)
      const { handled } = yield* record({ poison })
      yield* publish(...calls.map((call) => numbered(call, call)))
      const letters = yield* buried(calls.length)
      expect(letters.map(({ key }) => key)).toEqual(calls.map((call) => keyOfCall(call)))
      poison.clear()
      for (const { consumer, seq, key } of letters) expect(yield* bus.replay(consumer, seq, key)).toBe(true)
      const cured = yield* take(handled, calls.length)
      expect(cured.toSorted()).toEqual(calls)
      expect(yield* outbox.deadLetters(100)).toEqual([])
    })
  )

  promises(
    "parks the call behind a dead letter, until it is discarded",
    Effect.gen(function* () {
      const bus = yield* EventBusPort
      const outbox = yield* Outbox
      const { handled, tries } = yield* record({ poison: new Set([1]) })
      yield* publish(numbered(1, 1))
      const [letter] = yield* buried(1)
      yield* publish(numbered(1, 2))
      yield* publish(numbered(MARKER, MARKER))
      expect(yield* take(handled, 1)).toEqual([MARKER])
      expect(new Set(tries)).toEqual(new Set([1, MARKER]))
      expect((yield* deliveriesTo("orchestration")).map(({ number }) => number)).toEqual([2])
      const seq = letter?.seq ?? 0
      expect(yield* bus.discard("orchestration", seq, keyOfCall(1))).toBe(true)
      expect(yield* take(handled, 1)).toEqual([2])
      expect(yield* outbox.deadLetters(10)).toEqual([])
      expect(yield* bus.discard("orchestration", seq, keyOfCall(1))).toBe(false)
    })
  )

  promises(
    "parks the call behind a dead letter over a restart, until it is replayed",
    Effect.gen(function* () {
      const bus = yield* EventBusPort
      const outbox = yield* Outbox
      const poison = new Set([10, 20])
      const first = yield* Scope.make()
      yield* Scope.provide(record({ poison }), first)
      yield* publish(numbered(1, 10), numbered(1, 11), numbered(2, 20))
      const letters = yield* buried(2)
      yield* Scope.close(first, Exit.void)
      // A broker may keep 11 back for a while. 21 it has not given to anybody before.
      yield* publish(numbered(2, 21))

      const { handled, tries } = yield* record({ poison })
      yield* publish(numbered(1, 12))
      yield* publish(numbered(MARKER, MARKER))
      expect(yield* take(handled, 1)).toEqual([MARKER])
      expect(new Set(tries)).toEqual(new Set([MARKER]))
      expect((yield* deliveriesTo("orchestration")).map(({ number }) => number)).toEqual([11, 21, 12])
      poison.clear()
      for (const { seq, key } of letters) expect(yield* bus.replay("orchestration", seq, key)).toBe(true)
      yield* publish(numbered(1, 13))
      const cured = yield* take(handled, 6)
      expect(cured.filter((number) => number < 20)).toEqual([10, 11, 12, 13])
      expect(cured.filter((number) => number >= 20)).toEqual([20, 21])
      expect(yield* outbox.deadLetters(10)).toEqual([])
      for (const { seq, key } of letters) expect(yield* bus.replay("orchestration", seq, key)).toBe(false)
    })
  )

  promises(
    "never counts a storage error as a try, and other calls go on meanwhile",
    Effect.gen(function* () {
      const outbox = yield* Outbox
      const refused = new Set([1])
      const { handled, tries } = yield* record({ refused })
      yield* publish(numbered(1, 1), numbered(1, 2))
      // One may have been in the unit that publishes.
      const isOften = Effect.sync(() => tries.filter((number) => number === 1).length > TRIES_MAX + 1)
      yield* until("the storage has refused often", isOften)
      yield* publish(numbered(MARKER, MARKER))
      expect(yield* take(handled, 1)).toEqual([MARKER])
      expect(yield* deliveriesTo("orchestration")).toMatchObject([
        { number: 1, attempts: 0 },
        { number: 2, attempts: 0 }
      ])
      expect(yield* outbox.deadLetters(10)).toEqual([])
      refused.clear()
      expect(yield* take(handled, 2)).toEqual([1, 2])
    })
  )
}
