import type { Consumer } from "@event-service-agent/schemas/envelope"
import type { MessageDraft } from "@event-service-agent/schemas/messages/catalogue"
import { type Duration, Effect, Queue, type Scope } from "effect"
import { TestClock } from "effect/testing"
import { EventBusPort } from "../src/event-bus.ts"
import { Outbox } from "../src/outbox.ts"
import { StorageError } from "../src/storage-error.ts"
import { Transaction, UnitOfWork } from "../src/transaction.ts"
import { everyMessage, numberOf } from "./messages.ts"
import { inTime, settle, until } from "./testing.ts"

/** What a test of the bus runs with. */
export type Ports = EventBusPort | Outbox | Transaction

/** Defines a test that runs on the real clock, with the pauses between tries. */
export type Promises = <A, E>(
  sentence: string,
  test: Effect.Effect<A, E, Ports | Scope.Scope>,
  pauses?: typeof PAUSES_MS
) => void

export const PAUSES_MS = { firstMs: 1, maxMs: 20 }

/** The number and the call of a message after which all that was published before has had its time. */
export const MARKER = 1_000_000

/** Moves the test clock. */
export const advance = (duration: Duration.Input) =>
  Effect.andThen(settle, Effect.andThen(TestClock.adjust(duration), settle))

/** Publishes the messages in a unit of their own. */
export const publish = Effect.fnUntraced(function* (...drafts: ReadonlyArray<MessageDraft>) {
  const bus = yield* EventBusPort
  const transaction = yield* Transaction
  yield* transaction.run(bus.publish(drafts))
})

/** The messages that the handler fails on. */
export interface Faults {
  /** As long as they are in here. */
  readonly poison?: ReadonlySet<number>
  /** Once: then they are taken out. Where that happens at once, all that the publishing unit has is delivered later. */
  readonly once?: Set<number>
  /** As long as they are in here, because of the storage. */
  readonly refused?: ReadonlySet<number>
}

/** Subscribes orchestration and records what it tried and, in the order of the commits, what took effect. */
export const record = Effect.fnUntraced(function* ({ poison, once, refused }: Faults = {}) {
  const bus = yield* EventBusPort
  const handled = yield* Queue.unbounded<number>()
  const tries: Array<number> = []
  yield* bus.subscribe(
    "orchestration",
    everyMessage(
      Effect.fnUntraced(function* (message) {
        const number = numberOf(message)
        tries.push(number)
        if (poison?.has(number)) return yield* Effect.fail(new Error(`poison ${number}`))
        if (once?.delete(number)) return yield* Effect.fail(new Error(`once ${number}`))
        if (refused?.has(number)) return yield* new StorageError({ operation: "test", cause: new Error("busy") })
        const unit = yield* UnitOfWork
        unit.afterCommit(Effect.asVoid(Queue.offer(handled, number)))
      })
    )
  )
  return { handled, tries }
})

/** The next of a queue, however long the transport takes. */
export const take = <A>(queue: Queue.Dequeue<A>, amount: number): Effect.Effect<ReadonlyArray<A>> =>
  inTime(`${amount} more messages took effect`)(Queue.takeN(queue, amount))

/** What a consumer has yet to handle, by the outbox. */
export const deliveriesTo = Effect.fnUntraced(function* (consumer: Consumer) {
  const outbox = yield* Outbox
  const transaction = yield* Transaction
  const { deliveries } = yield* transaction.run(outbox.deliveriesAfter(consumer, 0, 1_000))
  return deliveries.map(({ seq, attempts, message }) => ({ seq, attempts, number: numberOf(message) }))
})

/** Waits until so many messages have become dead letters. */
export const buried = Effect.fnUntraced(function* (amount: number) {
  const outbox = yield* Outbox
  yield* until(
    `${amount} messages became dead letters`,
    Effect.map(outbox.deadLetters(amount), (letters) => letters.length === amount)
  )
  return yield* outbox.deadLetters(amount + 1)
})
