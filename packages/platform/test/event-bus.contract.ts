import { Deferred, Effect, Exit, type Layer, Queue, Scope } from "effect"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { EventBusPort } from "../src/event-bus.ts"
import { RetryPolicy } from "../src/failed-delivery.ts"
import { HELD_MAX } from "../src/inbox.ts"
import { Outbox, READ_BYTES_MAX } from "../src/outbox.ts"
import { Transaction, UnitOfWork } from "../src/transaction.ts"
import { deliveriesTo, MARKER, PAUSES_MS, type Ports, type Promises, publish, record, take } from "./bus.ts"
import { poisonContract } from "./event-bus-poison.contract.ts"
import { everyMessage, keyOfCall, numbered, numberOf, sealedCommand } from "./messages.ts"
import { inTime, live, TEST_TIMEOUT_MS, until } from "./testing.ts"

export interface ContractOptions {
  /** How often the property about order is tried; each time with a transport of its own. */
  readonly runs?: number
  /** What the transport needs and is not there, and how to get it: then its tests are skipped, and fail under CI. */
  readonly missing?: string
}

/**
 * What every transport promises: effect exactly once, in order per call, and poison harms only its own call. Runs on
 * the real clock, since a broker has no other; nothing is expected to have happened when `publish` returns.
 *
 * @param layer is built afresh for each test, and must not see what an earlier one has left
 */
export const eventBusContract = (
  name: string,
  layer: Layer.Layer<Ports, unknown>,
  { runs = 30, missing }: ContractOptions = {}
) => {
  if (missing !== undefined && process.env["CI"] === "true") {
    it(`EventBusPort, ${name}, has what it needs`, () => {
      throw new Error(missing)
    })
  }
  const suite = missing === undefined ? describe : describe.skip
  suite(`EventBusPort, ${name}${missing === undefined ? "" : ` (skipped: ${missing})`}`, () => {
    const within = <A, E>(test: Effect.Effect<A, E, Ports | Scope.Scope>, pauses = PAUSES_MS) =>
      live(Effect.provideService(Effect.provide(Effect.scoped(test), layer), RetryPolicy, pauses))
    const promises: Promises = (sentence, test, pauses) => it(sentence, within(test, pauses), TEST_TIMEOUT_MS)

    promises(
      "hands a message over once its unit has committed, and never when it failed",
      Effect.gen(function* () {
        const bus = yield* EventBusPort
        const transaction = yield* Transaction
        const { handled } = yield* record()
        yield* Effect.exit(transaction.run(Effect.andThen(bus.publish([numbered(1, 1)]), Effect.fail("no"))))
        yield* publish(numbered(1, 2))
        expect(yield* take(handled, 1)).toEqual([2])
        yield* publish(numbered(1, 3))
        expect(yield* take(handled, 1)).toEqual([3])
        expect(yield* deliveriesTo("orchestration")).toEqual([])
      })
    )

    promises(
      "delivers what was published before anyone subscribed, and after a restart what was left",
      Effect.gen(function* () {
        yield* publish(numbered(1, 1), numbered(1, 2))
        const first = yield* Scope.make()
        const faults = { once: new Set([2]), refused: new Set([2]) }
        const before = yield* Scope.provide(record(faults), first)
        expect(yield* take(before.handled, 1)).toEqual([1])
        yield* until(
          "it has failed on 2 and tried it again",
          Effect.sync(() => before.tries.length > 2)
        )
        yield* Scope.close(first, Exit.void)
        yield* publish(numbered(1, 3))

        const after = yield* record()
        expect(yield* take(after.handled, 2)).toEqual([2, 3])
        expect(yield* Queue.size(before.handled)).toBe(0)
      })
    )

    it(
      "keeps the order within a call, and each message takes effect exactly once",
      async () => {
        const calls = [0, 1, 2, 3, 4]
        const batches = fc.array(fc.array(fc.constantFrom(...calls), { maxLength: 6 }), { minLength: 1, maxLength: 8 })
        await fc.assert(
          fc.asyncProperty(
            batches,
            // More than once: the first time may be in the unit that publishes.
            fc.array(fc.tuple(fc.nat(20), fc.integer({ min: 1, max: 3 })), { maxLength: 4 }),
            fc.boolean(),
            (published, failures, isTogether) =>
              within(
                Effect.gen(function* () {
                  const bus = yield* EventBusPort
                  const toFail = new Map(failures)
                  const effects = new Map<number, Array<number>>(calls.map((call) => [call, []]))
                  const ended = yield* Queue.unbounded<number>()
                  const handle = everyMessage(
                    Effect.fnUntraced(function* (message) {
                      const unit = yield* UnitOfWork
                      const number = numberOf(message)
                      const call = Number(message.aggregateId.slice(-6))
                      const left = toFail.get(number) ?? 0
                      toFail.set(number, left - 1)
                      if (left > 0) return yield* Effect.fail("not yet")
                      unit.afterCommit(
                        number === MARKER
                          ? Effect.asVoid(Queue.offer(ended, call))
                          : Effect.sync(() => effects.get(call)?.push(number))
                      )
                    })
                  )
                  yield* bus.subscribe("orchestration", handle)
                  const expected = new Map<number, Array<number>>(calls.map((call) => [call, []]))
                  let count = 0
                  const units = published.map((batch) => {
                    const drafts = batch.map((call) => {
                      expected.get(call)?.push(count)
                      return numbered(call, count++)
                    })
                    return publish(...drafts)
                  })
                  yield* Effect.all(units, { concurrency: isTogether ? "unbounded" : 1 })
                  yield* publish(...calls.map((call) => numbered(call, MARKER)))
                  const ends = yield* take(ended, calls.length)
                  expect(ends.toSorted()).toEqual(calls)
                  expect(effects).toEqual(expected)
                  expect(yield* deliveriesTo("orchestration")).toEqual([])
                })
              )()
          ),
          { numRuns: runs }
        )
      },
      TEST_TIMEOUT_MS
    )

    poisonContract(promises)

    promises(
      "takes a message whose delivery is gone for handled",
      Effect.gen(function* () {
        const outbox = yield* Outbox
        const transaction = yield* Transaction
        const refused = new Set([1])
        const { handled, tries } = yield* record({ refused })
        yield* publish(numbered(1, 1), numbered(1, 2))
        yield* until(
          "the transport has it in hand",
          Effect.sync(() => tries.length > 1)
        )
        const [first] = yield* deliveriesTo("orchestration")
        expect(first).toMatchObject({ number: 1 })
        expect(yield* transaction.run(outbox.settle("orchestration", first?.seq ?? 0))).toBe(true)
        refused.clear()
        yield* publish(numbered(1, 3))
        expect(yield* take(handled, 2)).toEqual([2, 3])
      })
    )

    promises(
      "handles more messages than memory holds, in order",
      Effect.gen(function* () {
        const { handled } = yield* record({ once: new Set([0]) })
        const amount = HELD_MAX + 500
        const calls = 50
        yield* publish(...Array.from({ length: amount }, (_, n) => numbered(n % calls, n)))
        expectInOrder(yield* take(handled, amount), amount, calls)
      })
    )

    promises(
      "reads large requests some at a time, and hands all of them over",
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
        const handled = yield* Queue.unbounded<readonly [string, number | undefined]>()
        yield* bus.subscribe("execution", {
          StartExecution: ({ aggregateId, payload }) =>
            Effect.sync(() => Queue.offerUnsafe(handled, [aggregateId, payload.sealed?.byteLength]))
        })
        const requests = yield* take(handled, amount)
        expect(new Map(requests)).toEqual(
          new Map(Array.from({ length: amount }, (_, call) => [keyOfCall(call).serviceCallId, sealed.byteLength]))
        )
      })
    )

    promises(
      "loses nothing and repeats nothing when it stops in the middle of its work, however often",
      Effect.gen(function* () {
        const calls = 7
        const refused = new Set([3])
        const once = new Set([5, 60, 270, 555])
        const queues: Array<Queue.Queue<number>> = []
        let amount = 0
        const publishMore = (more: number) =>
          publish(...Array.from({ length: more }, () => numbered(amount % calls, amount++)))
        const subscribe = Effect.map(record({ once, refused }), ({ handled }) => {
          queues.push(handled)
          return handled
        })
        for (const soMany of [1, 20, 150]) {
          yield* publishMore(200)
          const scope = yield* Scope.make()
          const handled = yield* Scope.provide(subscribe, scope)
          yield* until(
            `${soMany} took effect`,
            Effect.map(Queue.size(handled), (size) => size >= soMany)
          )
          yield* Effect.all([Scope.close(scope, Exit.void), publishMore(50)], { concurrency: "unbounded" })
          // What waits behind the refused one is left, at the least.
          expect((yield* deliveriesTo("orchestration")).map(({ number }) => number)).toEqual(
            expect.arrayContaining([3, 10, 17])
          )
        }
        refused.clear()
        yield* subscribe
        yield* publish(numbered(MARKER, MARKER))
        yield* until(
          "all has taken effect",
          Effect.map(Effect.forEach(queues, Queue.size), (sizes) => sizes.reduce((sum, size) => sum + size) > amount)
        )
        const numbers = (yield* Effect.forEach(queues, Queue.clear)).flat()
        expectInOrder(
          numbers.filter((number) => number !== MARKER),
          amount,
          calls
        )
      })
    )

    promises(
      "knows the calls whose message of a type nobody has handled",
      Effect.gen(function* () {
        const outbox = yield* Outbox
        const { tenantId, serviceCallId } = keyOfCall(1)
        yield* publish(numbered(1, 1))
        expect(yield* outbox.unhandled("DueTimeReached", tenantId)).toEqual(new Set([serviceCallId]))
        expect(yield* outbox.unhandled("SubmitServiceCall", tenantId)).toEqual(new Set())
        expect(yield* outbox.unhandled("DueTimeReached", keyOfCall(1, "other").tenantId)).toEqual(new Set())
        yield* record()
        const isNone = Effect.map(outbox.unhandled("DueTimeReached", tenantId), ({ size }) => size === 0)
        yield* until("no message is unhandled", isNone)
      })
    )

    promises(
      "hands a sealed request over that was published before anyone subscribed",
      Effect.gen(function* () {
        const bus = yield* EventBusPort
        const sealed = new Uint8Array([1, 2, 255])
        yield* publish(sealedCommand(1, sealed))
        const got = yield* Deferred.make<Uint8Array | null>()
        yield* bus.subscribe("execution", {
          StartExecution: (message) => Effect.asVoid(Deferred.succeed(got, message.payload.sealed))
        })
        expect(yield* inTime("the request was handed over")(Deferred.await(got))).toEqual(sealed)
      })
    )
  })
}

/** Each number below `amount` is there once, and those of a call, which is the rest of the division, in order. */
const expectInOrder = (numbers: ReadonlyArray<number>, amount: number, calls: number) => {
  const byCall = (all: ReadonlyArray<number>) =>
    Array.from({ length: calls }, (_, call) => all.filter((number) => number % calls === call))
  expect(byCall(numbers)).toEqual(byCall(Array.from({ length: amount }, (_, n) => n)))
}
