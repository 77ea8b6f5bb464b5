import { Clock, Deferred, Effect, Exit, type Layer, Queue, Scope } from "effect"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { EventBusPort } from "../src/event-bus.ts"
import { HELD_MAX, TRIES_MAX } from "../src/inbox.ts"
import { Outbox, READ_BYTES_MAX } from "../src/outbox.ts"
import { StorageError } from "../src/storage-error.ts"
import { Transaction, UnitOfWork } from "../src/transaction.ts"
import { advance, type Ports, publish, record } from "./bus.ts"
import { atOnceContract } from "./event-bus-at-once.contract.ts"
import { everyMessage, keyOfCall, numbered, numberOf, sealedCommand } from "./messages.ts"
import { onTestClock, settle } from "./testing.ts"

/** What every transport promises: effect exactly once, in order per call, and poison harms only its own call. */
export const eventBusContract = (name: string, layer: Layer.Layer<Ports, unknown>) =>
  describe(`EventBusPort, ${name}`, () => {
    const within = <A, E>(test: Effect.Effect<A, E, Ports | Scope.Scope>) => onTestClock(Effect.provide(test, layer))

    atOnceContract(within)

    it(
      "hands a message over once its unit has committed, and never when it failed",
      within(
        Effect.gen(function* () {
          const bus = yield* EventBusPort
          const transaction = yield* Transaction
          const { handled } = yield* record()
          yield* Effect.exit(transaction.run(Effect.andThen(bus.publish([numbered(1, 1)]), Effect.fail("no"))))
          yield* publish(numbered(1, 2))
          expect(yield* Queue.take(handled)).toBe(2)
          expect(yield* Queue.size(handled)).toBe(0)
        })
      )
    )

    it(
      "delivers what was published before anyone subscribed, and after a restart what was left",
      within(
        Effect.gen(function* () {
          yield* publish(numbered(1, 1), numbered(1, 2))
          const first = yield* Scope.make()
          const before = yield* Scope.provide(record(new Set([2])), first)
          expect(yield* Queue.take(before.handled)).toBe(1)
          yield* advance(50)
          yield* Scope.close(first, Exit.void)
          yield* publish(numbered(1, 3))

          const after = yield* record()
          yield* advance("1 minute")
          expect(yield* Queue.takeN(after.handled, 2)).toEqual([2, 3])
          expect(yield* Queue.size(before.handled)).toBe(0)
        })
      )
    )

    it("keeps the order within a call, and each message takes effect exactly once", async () => {
      const batches = fc.array(fc.array(fc.nat(4), { maxLength: 6 }), { minLength: 1, maxLength: 8 })
      await fc.assert(
        fc.asyncProperty(
          batches,
          fc.array(fc.nat(40), { maxLength: 3 }),
          fc.boolean(),
          (published, failsOnce, isTogether) =>
            within(
              Effect.gen(function* () {
                const bus = yield* EventBusPort
                const toFail = new Set(failsOnce)
                const effects = new Map<number, Array<number>>()
                let count = 0
                const handle = everyMessage(
                  Effect.fnUntraced(function* (message) {
                    const unit = yield* UnitOfWork
                    const number = numberOf(message)
                    const call = Number(message.aggregateId.slice(-6))
                    if (toFail.delete(number)) return yield* Effect.fail("once")
                    unit.afterCommit(Effect.sync(() => effects.set(call, [...(effects.get(call) ?? []), number])))
                  })
                )
                yield* bus.subscribe("orchestration", handle)
                const expected = new Map<number, Array<number>>()
                const units = published.map((calls) => {
                  const drafts = calls.map((call) => {
                    expected.set(call, [...(expected.get(call) ?? []), count])
                    return numbered(call, count++)
                  })
                  return publish(...drafts)
                })
                yield* Effect.all(units, { concurrency: isTogether ? "unbounded" : 1 })
                yield* advance("10 seconds")
                expect(effects).toEqual(expected)
              })
            )()
        ),
        { numRuns: 30 }
      )
    })

    it(
      "tries a failing message ten times with backoff while other calls go on, then makes it a dead letter",
      within(
        Effect.gen(function* () {
          const outbox = yield* Outbox
          const { handled, tries } = yield* record(new Set([1]))
          yield* publish(numbered(1, 1), numbered(1, 2), numbered(2, 3))
          expect(yield* Queue.take(handled)).toBe(3)
          yield* advance("10 minutes")
          expect(tries).not.toContain(2)
          const letters = yield* outbox.deadLetters(10)
          expect(letters).toMatchObject([
            { consumer: "orchestration", key: keyOfCall(1), attempts: TRIES_MAX, error: "Error: poison 1" }
          ])
          expect(yield* outbox.deadLettersOf(keyOfCall(1))).toEqual(letters)
          expect(yield* outbox.deadLettersOf(keyOfCall(1, "other"))).toEqual([])
          expect(yield* outbox.unhandled("DueTimeReached", keyOfCall(1).tenantId)).toEqual(
            new Set([keyOfCall(1).serviceCallId])
          )
          yield* publish(numbered(1, 4))
          yield* settle
          expect(yield* Queue.size(handled)).toBe(0)
        })
      )
    )

    it(
      "handles 99 of 100 calls in no time when each hundredth is poisoned, and keeps all of the poison for a replay",
      within(
        Effect.gen(function* () {
          const bus = yield* EventBusPort
          const outbox = yield* Outbox
          const calls = Array.from({ length: 500 }, (_, call) => call)
          const poison = new Set(calls.filter((call) => call % 100 === 0))
          const poisoned = [...poison]
          const { handled } = yield* record(poison)
          yield* publish(...calls.map((call) => numbered(call, call)))
          const healthy = yield* Queue.takeN(handled, calls.length - poisoned.length)
          expect(yield* Clock.currentTimeMillis).toBe(0)
          expect(healthy.toSorted((a, b) => a - b)).toEqual(calls.filter((call) => !poison.has(call)))

          yield* advance("10 minutes")
          const letters = yield* outbox.deadLetters(100)
          expect(letters.map(({ key }) => key)).toEqual(poisoned.map((call) => keyOfCall(call)))
          poison.clear()
          for (const { consumer, seq, key } of letters) expect(yield* bus.replay(consumer, seq, key)).toBe(true)
          const cured = yield* Queue.takeN(handled, poisoned.length)
          expect(cured.toSorted((a, b) => a - b)).toEqual(poisoned)
          expect(yield* outbox.deadLetters(100)).toEqual([])
        })
      )
    )

    it(
      "parks the call behind a dead letter over a restart, until it is replayed",
      within(
        Effect.gen(function* () {
          const bus = yield* EventBusPort
          const outbox = yield* Outbox
          const poison = new Set([1])
          const first = yield* Scope.make()
          yield* Scope.provide(record(poison), first)
          yield* publish(numbered(1, 1), numbered(1, 2))
          yield* advance("10 minutes")
          yield* Scope.close(first, Exit.void)

          const { handled } = yield* record(poison)
          yield* publish(numbered(1, 3), numbered(2, 4))
          expect(yield* Queue.take(handled)).toBe(4)
          poison.clear()
          const [letter] = yield* outbox.deadLetters(10)
          const seq = letter?.seq ?? 0
          expect(yield* bus.replay("orchestration", seq, keyOfCall(1))).toBe(true)
          expect(yield* Queue.takeN(handled, 3)).toEqual([1, 2, 3])
          expect(yield* outbox.deadLetters(10)).toEqual([])
          expect(yield* bus.replay("orchestration", seq, keyOfCall(1))).toBe(false)
        })
      )
    )

    it(
      "lets the later messages go on when a dead letter is discarded",
      within(
        Effect.gen(function* () {
          const bus = yield* EventBusPort
          const outbox = yield* Outbox
          const { handled } = yield* record(new Set([1]))
          yield* publish(numbered(1, 1), numbered(1, 2))
          yield* advance("10 minutes")
          const [letter] = yield* outbox.deadLetters(10)
          expect(yield* bus.discard("orchestration", letter?.seq ?? 0, keyOfCall(1))).toBe(true)
          expect(yield* Queue.take(handled)).toBe(2)
        })
      )
    )

    it(
      "never counts a storage error as a try",
      within(
        Effect.gen(function* () {
          const bus = yield* EventBusPort
          const outbox = yield* Outbox
          const done = yield* Deferred.make<void>()
          let refusals = 0
          const handle = everyMessage(
            (): Effect.Effect<void, StorageError> =>
              refusals++ < 5 * TRIES_MAX
                ? Effect.fail(new StorageError({ operation: "test", cause: new Error("busy") }))
                : Effect.asVoid(Deferred.succeed(done, undefined))
          )
          yield* bus.subscribe("orchestration", handle)
          yield* publish(numbered(1, 1))
          yield* advance("1 minute")
          yield* Deferred.await(done)
          expect(yield* outbox.deadLetters(10)).toEqual([])
        })
      )
    )

    it(
      "handles more messages than memory holds, in order",
      within(
        Effect.gen(function* () {
          const { handled } = yield* record(new Set(), new Set([0]))
          const amount = HELD_MAX + 500
          const drafts = Array.from({ length: amount }, (_, n) => numbered(n % 7, n))
          yield* publish(...drafts)
          const numbers = yield* Queue.takeN(handled, amount)
          const byCall = Map.groupBy(numbers, (number) => number % 7)
          for (const [call, own] of byCall) {
            expect(own).toEqual(Array.from({ length: own.length }, (_, index) => call + 7 * index))
          }
          expect(new Set(numbers).size).toBe(amount)
        })
      )
    )

    it(
      "reads large requests some at a time, and hands all of them over",
      within(
        Effect.gen(function* () {
          const bus = yield* EventBusPort
          const outbox = yield* Outbox
          const transaction = yield* Transaction
          const sealed = new Uint8Array(READ_BYTES_MAX / 8)
          const amount = 20
          yield* publish(...Array.from({ length: amount }, (_, call) => sealedCommand(call, sealed)))
          const page = yield* transaction.run(outbox.deliveriesAfter("execution", 0, 100))
          expect([page.deliveries.length, page.hasMore]).toEqual([8, true])
          const last = page.deliveries.at(-1)?.seq ?? 0
          const rest = yield* transaction.run(outbox.deliveriesAfter("execution", last + 5, 100))
          expect([rest.deliveries.length, rest.hasMore]).toEqual([amount - 8 - 5, false])
          const handled = yield* Queue.unbounded<string>()
          yield* bus.subscribe("execution", {
            StartExecution: (message) => Effect.sync(() => Queue.offerUnsafe(handled, message.aggregateId))
          })
          const ids = yield* Queue.takeN(handled, amount)
          expect(ids.toSorted()).toEqual(Array.from({ length: amount }, (_, call) => keyOfCall(call).serviceCallId))
        })
      )
    )

    it(
      "handles what it has before it stops, and leaves what has to wait",
      within(
        Effect.gen(function* () {
          const transaction = yield* Transaction
          const outbox = yield* Outbox
          const scope = yield* Scope.make()
          const { handled, tries } = yield* Scope.provide(record(new Set([1]), new Set([29])), scope)
          yield* publish(numbered(1, 1))
          yield* settle
          yield* publish(...Array.from({ length: 20 }, (_, n) => numbered(2 + (n % 3), 10 + n)))
          // None of them is handled yet: the last one has failed at once, and takes all of them along.
          expect(tries.filter((number) => number === 29)).toHaveLength(1)
          expect(yield* Queue.size(handled)).toBe(0)
          yield* Scope.close(scope, Exit.void)
          expect(yield* Queue.size(handled)).toBe(20)
          const { deliveries } = yield* transaction.run(outbox.deliveriesAfter("orchestration", 0, 100))
          expect(deliveries).toMatchObject([{ attempts: 1, message: { aggregateId: keyOfCall(1).serviceCallId } }])
        })
      )
    )

    it(
      "knows the calls whose message of a type nobody has handled",
      within(
        Effect.gen(function* () {
          const outbox = yield* Outbox
          const { tenantId, serviceCallId } = keyOfCall(1)
          yield* publish(numbered(1, 1))
          expect(yield* outbox.unhandled("DueTimeReached", tenantId)).toEqual(new Set([serviceCallId]))
          expect(yield* outbox.unhandled("SubmitServiceCall", tenantId)).toEqual(new Set())
          expect(yield* outbox.unhandled("DueTimeReached", keyOfCall(1, "other").tenantId)).toEqual(new Set())
          const { handled } = yield* record()
          yield* Queue.take(handled)
          yield* advance(1)
          expect(yield* outbox.unhandled("DueTimeReached", tenantId)).toEqual(new Set())
        })
      )
    )

    it(
      "hands a sealed request over after a restart, as long as its call has not ended",
      within(
        Effect.gen(function* () {
          const bus = yield* EventBusPort
          const transaction = yield* Transaction
          const sealed = new Uint8Array([1, 2, 255])
          yield* transaction.run(bus.publish([sealedCommand(1, sealed)]))
          const got = yield* Deferred.make<Uint8Array | null>()
          yield* bus.subscribe("execution", {
            StartExecution: (message) => Effect.asVoid(Deferred.succeed(got, message.payload.sealed))
          })
          expect(yield* Deferred.await(got)).toEqual(sealed)
        })
      )
    )
  })
