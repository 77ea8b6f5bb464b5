import { Clock, Effect, Exit, type Layer, Queue, Scope } from "effect"
import { describe, expect, it } from "vitest"
import { EventBusPort } from "../src/event-bus.ts"
import { BACKOFF_FIRST_MS, TRIES_MAX } from "../src/failed-delivery.ts"
import { HELD_MAX } from "../src/inbox.ts"
import { Outbox } from "../src/outbox.ts"
import { Transaction, UnitOfWork } from "../src/transaction.ts"
import { advance, deliveriesTo, type Ports, publish, record } from "./bus.ts"
import { everyMessage, keyOfCall, numbered, numberOf, sealedCommand } from "./messages.ts"
import { onTestClock, settle } from "./testing.ts"

const FAILURES = 3
const BROKEN: Readonly<Record<string, Effect.Effect<void, Error>>> = {
  fails: Effect.fail(new Error("once")),
  dies: Effect.die(new Error("once")),
  waits: Effect.sleep("1 second")
}

/** What has taken effect, in order. What is rolled back is taken back. */
const makeEffects = () => {
  const effects: Array<string> = []
  const units = new Set<UnitOfWork["Service"]>()
  const note = (effect: string) =>
    Effect.map(UnitOfWork, (unit) => {
      effects.push(effect)
      units.add(unit)
      unit.onRollback(() => effects.pop())
    })
  return { effects, units, note }
}

/**
 * What a transport promises beside `eventBusContract` that hands messages over in memory, and lets them take effect in
 * the unit that publishes them.
 */
export const eventBusAtOnceContract = (name: string, layer: Layer.Layer<Ports, unknown>) =>
  describe(`EventBusPort at once, ${name}`, () => {
    const within = <A, E>(test: Effect.Effect<A, E, Ports | Scope.Scope>) => onTestClock(Effect.provide(test, layer))

    it(
      "lets a message take effect in the unit that publishes it, and all that follows from it, in order",
      within(
        Effect.gen(function* () {
          const bus = yield* EventBusPort
          const transaction = yield* Transaction
          const { effects, units, note } = makeEffects()
          yield* bus.subscribe(
            "orchestration",
            everyMessage(
              Effect.fnUntraced(function* (message) {
                const number = numberOf(message)
                yield* note(`orchestration ${number}`)
                if (number <= 2) yield* bus.publish([sealedCommand(1, Uint8Array.of(number))])
              })
            )
          )
          yield* bus.subscribe("execution", {
            StartExecution: Effect.fnUntraced(function* ({ payload }) {
              const number = payload.sealed?.[0] ?? 0
              yield* note(`execution ${number}`)
              yield* bus.publish([numbered(1, number + 1)])
            })
          })
          yield* transaction.run(
            Effect.gen(function* () {
              yield* bus.publish([numbered(1, 1), numbered(1, 10)])
              yield* bus.publish([numbered(1, 11)])
              yield* note("publisher")
            })
          )
          // At once: no other fiber has run since.
          expect(effects).toEqual([
            "publisher",
            "orchestration 1",
            "orchestration 10",
            "orchestration 11",
            "execution 1",
            "orchestration 2",
            "execution 2",
            "orchestration 3"
          ])
          expect(units.size).toBe(1)
          for (const consumer of ["orchestration", "execution"] as const) {
            expect(yield* waitingFor(consumer)).toEqual([])
          }
          yield* advance("1 minute")
          expect(effects).toHaveLength(8)
        })
      )
    )

    for (const [how, broken] of Object.entries(BROKEN)) {
      it(
        `harms neither publisher nor neighbours when a handler ${how}, and the message still takes effect, once`,
        within(
          Effect.gen(function* () {
            const bus = yield* EventBusPort
            const outbox = yield* Outbox
            const transaction = yield* Transaction
            const { effects, note } = makeEffects()
            // More than one, and each more than once: at once, and when it is delivered.
            const failures = new Map([2, 3].map((number) => [number, FAILURES]))
            yield* bus.subscribe(
              "orchestration",
              everyMessage(
                Effect.fnUntraced(function* (message) {
                  const number = numberOf(message)
                  yield* note(`orchestration ${number}`)
                  yield* bus.publish([sealedCommand(number, Uint8Array.of(number))])
                  const left = failures.get(number) ?? 0
                  if (left === 0) return
                  failures.set(number, left - 1)
                  yield* broken
                })
              )
            )
            yield* bus.subscribe("execution", {
              StartExecution: ({ payload }) => note(`execution ${payload.sealed?.[0]}`)
            })
            const unit = (number: number) =>
              transaction.run(Effect.andThen(bus.publish([numbered(number, number)]), note(`publisher ${number}`)))
            yield* Effect.all([unit(1), unit(2), unit(3)], { concurrency: "unbounded" })
            expect(effects.filter((effect) => effect.startsWith("publisher"))).toHaveLength(3)
            yield* advance("1 minute")
            expect([...failures.values()]).toEqual([0, 0])
            expect(effects.toSorted()).toEqual(
              ["execution", "orchestration", "publisher"].flatMap((who) =>
                [1, 2, 3].map((number) => `${who} ${number}`)
              )
            )
            expect(yield* outbox.deadLetters(10)).toEqual([])
          })
        )
      )
    }

    it(
      "lets no message overtake one of its call that is tried again, while others take effect at once",
      within(
        Effect.gen(function* () {
          const poison = new Set([1])
          const { handled } = yield* record({ poison })
          yield* publish(numbered(1, 1))
          yield* settle
          yield* publish(numbered(1, 2), numbered(2, 3))
          yield* publish(numbered(2, 4))
          expect(yield* Queue.clear(handled)).toEqual([3, 4])
          poison.clear()
          yield* advance("1 minute")
          expect(yield* Queue.clear(handled)).toEqual([1, 2])
        })
      )
    )

    it(
      "lets no message overtake a dead letter of its call, while others take effect at once",
      within(
        Effect.gen(function* () {
          const bus = yield* EventBusPort
          const outbox = yield* Outbox
          const poison = new Set([1])
          const { handled } = yield* record({ poison })
          yield* publish(numbered(1, 1))
          yield* advance("10 minutes")
          yield* publish(numbered(1, 2), numbered(2, 3))
          expect(yield* Queue.clear(handled)).toEqual([3])
          yield* advance("10 minutes")
          poison.clear()
          const [letter] = yield* outbox.deadLetters(10)
          expect(yield* bus.replay("orchestration", letter?.seq ?? 0, keyOfCall(1))).toBe(true)
          // Not yet handled, and already in the way.
          yield* publish(numbered(1, 4))
          yield* advance("1 minute")
          expect(yield* Queue.clear(handled)).toEqual([1, 2, 4])
        })
      )
    )

    it(
      "lets no message overtake one of its call that is only about to be handed over",
      within(
        Effect.gen(function* () {
          const { handled, tries } = yield* record({ once: new Set([1]) })
          const units = [publish(numbered(1, 1), numbered(3, 10)), publish(numbered(1, 2)), publish(numbered(2, 3))]
          yield* Effect.all(units, { concurrency: "unbounded" })
          yield* advance("1 minute")
          const numbers = yield* Queue.clear(handled)
          expect(numbers.toSorted((a, b) => a - b)).toEqual([1, 2, 3, 10])
          expect(numbers.filter((number) => number <= 2)).toEqual([1, 2])
          // Never even tried before.
          expect(tries.filter((number) => number <= 2)).toEqual([1, 1, 2])
        })
      )
    )

    it(
      "lets no message overtake one of its call that memory had no room for",
      within(
        Effect.gen(function* () {
          const poison = new Set([100])
          const others = Array.from({ length: HELD_MAX }, (_, index) => numbered(9, 100 + index))
          yield* publish(...others, numbered(1, 1))
          const { handled, tries } = yield* record({ poison })
          yield* publish(numbered(1, 2))
          yield* settle
          expect(new Set(tries)).toEqual(poison)
          poison.clear()
          yield* advance("1 minute")
          const numbers = yield* Queue.clear(handled)
          expect(numbers).toHaveLength(HELD_MAX + 2)
          expect(numbers.filter((number) => number < 100)).toEqual([1, 2])
        })
      )
    )

    it(
      "keeps nothing of a command that was carried out at once; an event has its place in the log",
      within(
        Effect.gen(function* () {
          const bus = yield* EventBusPort
          const outbox = yield* Outbox
          const { tenantId } = keyOfCall(1)
          let refusals = 0
          yield* bus.subscribe("execution", {
            StartExecution: () => (refusals-- > 0 ? Effect.fail(new Error("not yet")) : Effect.void)
          })
          yield* publish(numbered(1, 1))
          yield* publish(sealedCommand(1, new Uint8Array([1])))
          yield* publish(numbered(1, 2))
          expect(yield* waitingFor("execution")).toEqual([])
          expect(yield* outbox.unhandled("StartExecution", tenantId)).toEqual(new Set())
          const [first = 0, second] = yield* waitingFor("orchestration")
          expect(second).toBe(first + 1)

          refusals = 2
          yield* publish(sealedCommand(1, new Uint8Array([2])))
          yield* settle
          expect(yield* waitingFor("execution")).toEqual([first + 2])
          yield* advance("1 minute")
          expect(yield* waitingFor("execution")).toEqual([])

          const { handled } = yield* record()
          yield* Queue.takeN(handled, 2)
          yield* settle
          yield* publish(numbered(1, 3))
          expect(yield* Queue.clear(handled)).toEqual([3])
          refusals = 2
          yield* publish(sealedCommand(1, new Uint8Array([3])))
          yield* settle
          expect(yield* waitingFor("execution")).toEqual([first + 4])
        })
      )
    )

    it(
      "handles what it has before it stops, and leaves what has to wait",
      within(
        Effect.gen(function* () {
          const scope = yield* Scope.make()
          const faults = { poison: new Set([1]), once: new Set([29]) }
          const { handled, tries } = yield* Scope.provide(record(faults), scope)
          yield* publish(numbered(1, 1))
          yield* settle
          yield* publish(...Array.from({ length: 20 }, (_, n) => numbered(2 + (n % 3), 10 + n)))
          // None of them is handled yet: the last one has failed at once, and takes all of them along.
          expect(tries.filter((number) => number === 29)).toHaveLength(1)
          expect(yield* Queue.size(handled)).toBe(0)
          yield* Scope.close(scope, Exit.void)
          expect(yield* Queue.size(handled)).toBe(20)
          expect(yield* deliveriesTo("orchestration")).toMatchObject([{ attempts: 1, number: 1 }])
        })
      )
    )

    it(
      "doubles the pause before each further try",
      within(
        Effect.gen(function* () {
          const bus = yield* EventBusPort
          const triedAt: Array<number> = []
          const handle = everyMessage(
            Effect.fnUntraced(function* () {
              triedAt.push(yield* Clock.currentTimeMillis)
              return yield* Effect.fail(new Error("always"))
            })
          )
          yield* bus.subscribe("orchestration", handle)
          yield* publish(numbered(1, 1))
          yield* advance("1 hour")
          const pauses = Array.from({ length: TRIES_MAX - 1 }, (_, index) => 2 ** index * BACKOFF_FIRST_MS)
          const [atOnce = -1, ...delivered] = triedAt
          expect([atOnce, delivered[0]]).toEqual([0, 0])
          expect(delivered.slice(1).map((at, index) => at - (delivered[index] ?? 0))).toEqual(pauses)
        })
      )
    )
  })

/** The seqs of what a consumer has yet to handle. */
const waitingFor = (consumer: "orchestration" | "execution") =>
  Effect.map(deliveriesTo(consumer), (deliveries) => deliveries.map(({ seq }) => seq))
