import type { Consumer } from "@event-service-agent/schemas/envelope"
import { MessageId, type ServiceCallKey } from "@event-service-agent/schemas/ids"
import {
  consumersOf,
  type Message,
  type MessageDraft,
  type TypeFor
} from "@event-service-agent/schemas/messages/catalogue"
import { Context, Effect, Layer, type Scope } from "effect"
import { SecureRandom } from "effect/crypto"
import { type Handle, type Inbox, logMessage, makeInbox } from "./inbox.ts"
import { Outbox } from "./outbox.ts"
import { type StorageError, Transaction, UnitOfWork } from "./transaction.ts"

/** One handler for each type that the consumer gets. Its writes, its messages and the acknowledgement commit together. */
export type Handlers<C extends Consumer> = {
  readonly [Type in TypeFor<C>]: (message: Message<Type>) => Effect.Effect<void, unknown, unknown>
}

/** What the handlers need beside the unit they run in. */
type ServicesOf<H extends object> = Exclude<
  Effect.Services<ReturnType<Extract<H[keyof H], (message: never) => Effect.Effect<void, unknown, unknown>>>>,
  UnitOfWork
>

/**
 * How modules reach each other. A published message takes effect exactly once at each of its consumers, in order per
 * service call; calls do not wait for each other. A handler that fails is tried again with backoff, and after ten
 * failures the message becomes a dead letter, behind which only the later messages of the same call wait.
 */
export class EventBusPort extends Context.Service<
  EventBusPort,
  {
    /** Writes the messages with the unit: they are published if, and only if, it commits. */
    readonly publish: (drafts: ReadonlyArray<MessageDraft>) => Effect.Effect<void, StorageError, UnitOfWork>
    /** Handles the consumer's messages until the scope ends, starting with those left from before. */
    readonly subscribe: <C extends Consumer, H extends Handlers<C>>(
      consumer: C,
      handlers: H
    ) => Effect.Effect<void, never, ServicesOf<H> | Scope.Scope>
    /** Tries a dead letter again. False when there is none. */
    readonly replay: (consumer: Consumer, seq: number, key: ServiceCallKey) => Effect.Effect<boolean, StorageError>
    /** Gives a dead letter up, and lets the later messages of its call go on. False when there is none. */
    readonly discard: (consumer: Consumer, seq: number, key: ServiceCallKey) => Effect.Effect<boolean, StorageError>
  }
>()("@event-service-agent/platform/EventBusPort") {
  /** Consumers work straight from the outbox's deliveries, handed over in memory after the commit. */
  static readonly layerEmbedded = Layer.effect(
    EventBusPort,
    Effect.suspend(() => makeEmbedded())
  ).pipe(Layer.provide(SecureRandom.layerWebCrypto))

  static readonly layerMemory = EventBusPort.layerEmbedded.pipe(
    Layer.provideMerge(Layer.merge(Outbox.layerMemory, Transaction.layerMemory))
  )
}

const makeEmbedded = Effect.fnUntraced(function* () {
  const outbox = yield* Outbox
  const transaction = yield* Transaction
  const random = yield* SecureRandom.SecureRandom
  const inboxes = new Map<Consumer, Inbox>()

  const hand = (consumer: Consumer, use: (inbox: Inbox) => Effect.Effect<void>) =>
    Effect.suspend(() => {
      const inbox = inboxes.get(consumer)
      return inbox === undefined ? Effect.void : use(inbox)
    })

  /** Ends the wait behind a dead letter, once `end` has found and changed it. */
  const unparkAfter = Effect.fnUntraced(function* (
    end: Effect.Effect<boolean, StorageError, UnitOfWork>,
    consumer: Consumer,
    key: ServiceCallKey
  ) {
    if (!(yield* end)) return false
    const unit = yield* UnitOfWork
    const waiting = yield* outbox.deliveriesOf(consumer, key)
    unit.afterCommit(hand(consumer, (inbox) => inbox.unpark(key, waiting)))
    return true
  })

  return EventBusPort.of({
    publish: Effect.fnUntraced(function* (drafts) {
      const messages: Array<Message> = []
      for (const draft of drafts) {
        messages.push({ ...draft, messageId: MessageId.make(yield* random.uuidV7()), schemaVersion: 1 })
      }
      const unit = yield* UnitOfWork
      for (const { seq, message } of yield* outbox.append(messages)) {
        yield* logMessage("publish", message)
        for (const consumer of consumersOf(message.type)) {
          const delivery = { seq, attempts: 0, availableAt: 0, message }
          unit.afterCommit(hand(consumer, (inbox) => inbox.handOver(delivery)))
        }
      }
    }),
    subscribe: <C extends Consumer, H extends Handlers<C>>(consumer: C, handlers: H) =>
      Effect.gen(function* () {
        const context = yield* Effect.context<ServicesOf<H>>()
        // `Handlers` has a handler for each type the catalogue sends here, and `context` all that they need beside the
        // unit. TypeScript follows neither through the generic.
        const byType = handlers as Readonly<Record<string, (message: Message) => ReturnType<Handle>>>
        const handle: Handle = (message) =>
          Effect.provideContext(
            byType[message.type]?.(message) ?? Effect.die(`${consumer} has no handler for ${message.type}`),
            context as Context.Context<never>
          )
        const inbox = yield* makeInbox(consumer, handle).pipe(
          Effect.provideService(Outbox, outbox),
          Effect.provideService(Transaction, transaction)
        )
        inboxes.set(consumer, inbox)
        yield* Effect.addFinalizer(() => Effect.sync(() => inboxes.delete(consumer)))
        yield* inbox.refill
      }),
    replay: (consumer, seq, key) => transaction.run(unparkAfter(outbox.revive(consumer, seq), consumer, key)),
    discard: (consumer, seq, key) => transaction.run(unparkAfter(outbox.discard(consumer, seq), consumer, key))
  })
})
