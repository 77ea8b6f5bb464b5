import type { Consumer } from "@event-service-agent/schemas/envelope"
import { newMessageId, type ServiceCallKey } from "@event-service-agent/schemas/ids"
import {
  catalogue,
  consumersOf,
  type Message,
  type MessageDraft,
  type TypeFor
} from "@event-service-agent/schemas/messages/catalogue"
import { Context, type DateTime, Effect, Layer, LogLevel, type Option, References, type Scope } from "effect"
import { type Handle, type Inbox, makeInbox } from "./inbox.ts"
import { logMessage } from "./message-log.ts"
import { type Entry, keyOf, Outbox } from "./outbox.ts"
import type { StorageError } from "./storage-error.ts"
import { callAttributes, type SpanOptions, spanInUnit, Tracing, traceparentIn } from "./tracing.ts"
import { Transaction, UnitOfWork } from "./transaction.ts"

/** One handler for each type that the consumer gets. Its writes, its messages and the acknowledgement commit together. */
export type Handlers<C extends Consumer> = {
  readonly [Type in TypeFor<C>]: (message: Message<Type>) => Effect.Effect<void, unknown, unknown>
}

/** What the handlers need beside the unit they run in. */
type ServicesOf<H extends object> = Exclude<
  Effect.Services<ReturnType<Extract<H[keyof H], (message: never) => Effect.Effect<void, unknown, unknown>>>>,
  UnitOfWork
>

/** Something outside that messages need on their way. */
export interface PartHealth {
  readonly part: "bus" | "executors"
  /** Why messages wait, for people; they are stored, and go on when it is over. `undefined` while all is well. */
  readonly trouble: string | undefined
}

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
    /**
     * Publishes the events that were written at this time or later once more, for listeners outside that have lost them.
     * Returns how many; none when there is no broker.
     */
    readonly republish: (since: DateTime.Utc) => Effect.Effect<Option.Option<number>, StorageError>
    /** How what the bus needs is at the moment. */
    readonly health: Effect.Effect<ReadonlyArray<PartHealth>, StorageError>
  }
>()("@event-service-agent/platform/EventBusPort") {
  /**
   * A message takes effect in the transaction that publishes it, when its consumer has nothing older to do for the same
   * call; otherwise consumers work from the outbox's deliveries, handed over in memory after the commit.
   */
  static readonly layerEmbedded = Layer.effect(
    EventBusPort,
    Effect.suspend(() => makeEmbedded())
  )

  static readonly layerMemory = EventBusPort.layerEmbedded.pipe(
    Layer.provideMerge(Layer.merge(Outbox.layerMemory, Transaction.layerMemory))
  )
}

const makeEmbedded = Effect.fnUntraced(function* () {
  const outbox = yield* Outbox
  const transaction = yield* Transaction
  const isTracing = yield* Tracing
  const inboxes = new Map<Consumer, Inbox>()

  const hand = (consumer: Consumer, use: (inbox: Inbox) => Effect.Effect<void>) =>
    Effect.suspend(() => {
      const inbox = inboxes.get(consumer)
      return inbox === undefined ? Effect.void : use(inbox)
    })

  /** Ends the wait behind a dead letter. */
  const goOn = Effect.fnUntraced(function* (consumer: Consumer, key: ServiceCallKey) {
    const unit = yield* UnitOfWork
    const waiting = yield* outbox.deliveriesOf(consumer, key)
    unit.afterCommit(hand(consumer, (inbox) => inbox.unpark(key, waiting)))
  })

  /**
   * Writes all that a unit has published. What a consumer can take at once, it handles in this unit, and what it
   * publishes joins in; the rest gets deliveries. A consumer that fails must not harm the publisher: then the unit runs
   * again, and everything is delivered later.
   */
  const writeOut = Effect.fnUntraced(function* (unit: UnitOfWork["Service"], published: ReadonlyArray<Message>) {
    const entries: Array<Entry> = []
    const waiting: Array<{ readonly consumer: Consumer; readonly index: number; readonly release: () => void }> = []
    const isDebugging = yield* LogLevel.isEnabled("Debug")
    // It grows meanwhile.
    for (const message of published) {
      if (isDebugging) yield* logMessage("publish", message)
      const to: Array<Consumer> = []
      for (const consumer of consumersOf(message.type)) {
        const inbox = inboxes.get(consumer)
        if (inbox !== undefined && !unit.isRepeated && inbox.isFreeFor(message)) {
          if (isDebugging) yield* logMessage("consume", message)
          yield* inbox.handle(message)
          continue
        }
        const release = inbox?.reserve(message) ?? (() => {})
        unit.onRollback(release)
        waiting.push({ consumer, index: entries.length, release })
        to.push(consumer)
      }
      // Nobody is left to read a command that has been carried out.
      if (to.length > 0 || catalogue[message.type].kind === "event") entries.push({ message, to })
    }
    if (entries.length === 0) return
    const firstSeq = yield* outbox.append(entries)
    for (const { consumer, index, release } of waiting) {
      const entry = entries[index]
      if (entry === undefined) continue
      const delivery = { seq: firstSeq + index, attempts: 0, availableAt: 0, message: entry.message }
      unit.afterCommit(
        Effect.andThen(
          Effect.sync(release),
          hand(consumer, (inbox) => inbox.handOver(delivery))
        )
      )
    }
  })

  return EventBusPort.of({
    publish: publishAtEnd(writeOut, isTracing),
    subscribe: <C extends Consumer, H extends Handlers<C>>(consumer: C, handlers: H) =>
      Effect.gen(function* () {
        const handle = yield* handleOf(consumer, handlers)
        const inbox = yield* makeInbox(consumer, handle).pipe(
          Effect.provideService(Outbox, outbox),
          Effect.provideService(Transaction, transaction)
        )
        inboxes.set(consumer, inbox)
        yield* Effect.addFinalizer(() => Effect.sync(() => inboxes.delete(consumer)))
        yield* inbox.refill
      }),
    replay: (consumer, seq, key) => transaction.run(ifSo(outbox.revive(consumer, seq), goOn(consumer, key))),
    discard: (consumer, seq, key) => transaction.run(ifSo(outbox.discard(consumer, seq), goOn(consumer, key))),
    republish: () => Effect.succeedNone,
    health: Effect.succeed([{ part: "bus", trouble: undefined }])
  })
})

/** Does what follows when the first has found something; the answer is whether it has. */
export const ifSo = <E, R, E2, R2>(found: Effect.Effect<boolean, E, R>, next: Effect.Effect<void, E2, R2>) =>
  Effect.tap(found, (isFound) => (isFound ? next : Effect.void))

/**
 * The `publish` of a transport: collects what a unit publishes, until all its work is done.
 *
 * @param writeOut writes it then; the list may grow meanwhile
 * @param isTracing whether each message keeps the span that published it
 */
export const publishAtEnd = (
  writeOut: (
    unit: UnitOfWork["Service"],
    published: ReadonlyArray<Message>
  ) => Effect.Effect<void, unknown, UnitOfWork>,
  isTracing: boolean
): EventBusPort["Service"]["publish"] => {
  const publishedIn = new WeakMap<UnitOfWork["Service"], Array<Message>>()
  return (drafts) =>
    Effect.map(Effect.context<UnitOfWork>(), (context) => {
      const unit = Context.get(context, UnitOfWork)
      const toMessage = (draft: MessageDraft): Message => ({ ...draft, messageId: newMessageId(), schemaVersion: 1 })
      const messages = drafts.map(isTracing ? (draft) => toMessage(withTraceparent(draft, context)) : toMessage)
      const published = publishedIn.get(unit)
      if (published !== undefined) {
        published.push(...messages)
        return
      }
      publishedIn.set(unit, messages)
      const isWritten = Effect.sync(() => publishedIn.delete(unit))
      unit.takeOn(Effect.andThen(writeOut(unit, messages), isWritten))
    })
}

/** What goes on after a wait says itself where it goes on from. */
const withTraceparent = (draft: MessageDraft, context: Context.Context<never>): MessageDraft => {
  const traceparent = draft.traceparent ?? traceparentIn(context)
  return traceparent === undefined ? draft : { ...draft, traceparent }
}

/** The handlers of a consumer as one, with all that they need beside the unit. */
export const handleOf = <C extends Consumer, H extends Handlers<C>>(
  consumer: C,
  handlers: H
): Effect.Effect<Handle, never, ServicesOf<H>> =>
  Effect.map(Effect.context<ServicesOf<H>>(), (context) => {
    // `Handlers` has a handler for each type the catalogue sends here, and `context` all that they need beside the
    // unit. TypeScript follows neither through the generic.
    const byType = handlers as Readonly<Record<string, (message: Message) => ReturnType<Handle>>>
    // In place of the publisher's services rather than beside them: to merge the two costs as much as a statement.
    const own = Context.add(context as Context.Context<never>, References.PreventSchedulerYield, true)
    const inOwn = (work: ReturnType<Handle>) =>
      Effect.updateContext(work, (publishers: Context.Context<UnitOfWork>) =>
        Context.add(own, UnitOfWork, Context.get(publishers, UnitOfWork))
      )
    const handle: Handle = (message) =>
      byType[message.type]?.(message) ?? Effect.die(`${consumer} has no handler for ${message.type}`)
    if (!Context.get(own, Tracing)) return (message) => inOwn(handle(message))
    return (message) => inOwn(spanInUnit(handle(message), `${consumer} ${message.type}`, consumerSpan(message)))
  })

/** The span of a message that is handled. */
export const consumerSpan = (message: Message): SpanOptions => ({
  kind: "consumer",
  traceparent: message.traceparent,
  attributes: { ...callAttributes(keyOf(message), message.correlationId), "esa.message_id": message.messageId }
})
