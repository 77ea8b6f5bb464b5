import {
  EventBusPort,
  type Handlers,
  handleOf,
  ifSo,
  type PartHealth,
  publishAtEnd
} from "@event-service-agent/platform/event-bus"
import { logMessage } from "@event-service-agent/platform/message-log"
import { type Entry, Outbox, type Relay } from "@event-service-agent/platform/outbox"
import { logRetry, retryStorage } from "@event-service-agent/platform/storage-error"
import { Tracing } from "@event-service-agent/platform/tracing"
import { Transaction, UnitOfWork } from "@event-service-agent/platform/transaction"
import { CONSUMERS, type Consumer } from "@event-service-agent/schemas/envelope"
import type { ServiceCallKey } from "@event-service-agent/schemas/ids"
import { catalogue, consumersOf, type Message } from "@event-service-agent/schemas/messages/catalogue"
import { streamNames } from "@event-service-agent/schemas/nats"
import { toMillis } from "@event-service-agent/schemas/time"
import { Clock, Effect, Layer, LogLevel, Option } from "effect"
import { Broker } from "./broker.ts"
import { type JetStreamInbox, makeJetStreamInbox } from "./jetstream-consumer.ts"
import { makeRelay } from "./relay.ts"
import { RelayStore } from "./relay-store.ts"

const FIRST_PATIENCE = { left: 8, next: 16 }
/** How often it is looked for messages that the broker has had for too long. */
const LOOKS_PER_WAIT = 4

/** Seconds that a call may wait for an executor elsewhere before that is trouble. */
const EXECUTORS_SILENT_S_MAX = 10
const EXECUTORS_LOOK_MS = 5_000

export interface JetStreamBusOptions {
  /** Milliseconds after which a message that the broker has, and nobody has handled, is published once more. */
  readonly republishAfterMs: number
  /** Those that nobody subscribes for in this process. */
  readonly consumedElsewhere?: ReadonlyArray<Consumer>
}

/**
 * Messages go to their consumers over NATS JetStream. The outbox stays the truth: what the broker loses is published
 * once more, and what it repeats has no effect.
 */
export const layer = ({ republishAfterMs, consumedElsewhere = [] }: JetStreamBusOptions) =>
  Layer.effect(
    EventBusPort,
    Effect.gen(function* () {
      const outbox = yield* Outbox
      const store = yield* RelayStore
      const transaction = yield* Transaction
      const broker = yield* Broker
      const isTracing = yield* Tracing
      const inboxes = new Map<Consumer, JetStreamInbox>()

      const work = yield* makeRelay("relay-work")
      const events = yield* makeRelay("relay-events")

      /**
       * What an earlier run had in hand, the broker keeps back for half a minute; what one without a broker has left, it
       * never had.
       */
      const publishLeft = Effect.fnUntraced(function* (consumer: Consumer) {
        const now = yield* Clock.currentTimeMillis
        yield* retryStorage(transaction.run(store.publishAll(consumer, undefined, now)))
        yield* work.wake
      })
      // The others subscribe here.
      for (const consumer of consumedElsewhere) yield* publishLeft(consumer)

      /** For how many looks a consumer's backlog has kept what it has not handled from being published once more. */
      const patience = new Map<Consumer, { left: number; next: number }>()
      const publishOverdue = Effect.gen(function* () {
        const now = yield* Clock.currentTimeMillis
        for (const consumer of CONSUMERS) {
          // The consumer may not have come to them yet, and once more would only make its way longer. Something may be
          // lost among them all the same: so it is waited for, each time twice as long.
          if (yield* hasPending(broker, consumer)) {
            const { left, next } = patience.get(consumer) ?? FIRST_PATIENCE
            patience.set(consumer, left > 0 ? { left: left - 1, next } : { left: next, next: 2 * next })
            if (left > 0) continue
          } else patience.delete(consumer)
          const count = yield* transaction.run(store.publishUnhandled(consumer, now - republishAfterMs, now))
          if (count === 0) continue
          yield* Effect.logWarning(
            `messages that ${consumer} has not handled in time are published once more: ${count}`
          )
          yield* work.wake
        }
      })
      yield* Effect.sleep(republishAfterMs / LOOKS_PER_WAIT).pipe(
        Effect.andThen(publishOverdue),
        Effect.catchCause((cause) => logRetry("the look for unhandled messages failed, it will run again", cause)),
        Effect.forever,
        Effect.forkScoped
      )

      const troubleOfExecutors = Effect.gen(function* () {
        const since = yield* store.unhandledSince("execution")
        const seconds = since === null ? 0 : Math.round(((yield* Clock.currentTimeMillis) - since) / 1_000)
        return seconds < EXECUTORS_SILENT_S_MAX
          ? undefined
          : `Calls have been waiting for an executor for ${seconds} s: none runs, or all are busy or cannot reach NATS`
      })
      let areMissed = false
      const tellMissed = Effect.gen(function* () {
        const trouble = yield* troubleOfExecutors
        if (trouble !== undefined && !areMissed) yield* Effect.logWarning(trouble)
        areMissed = trouble !== undefined
      })
      if (consumedElsewhere.includes("execution")) {
        yield* Effect.sleep(EXECUTORS_LOOK_MS).pipe(
          Effect.andThen(tellMissed),
          Effect.catchCause((cause) => logRetry("whether executors are missed will be looked up again", cause)),
          Effect.forever,
          Effect.forkScoped
        )
      }

      const writeOut = Effect.fnUntraced(function* (unit: UnitOfWork["Service"], published: ReadonlyArray<Message>) {
        if (yield* LogLevel.isEnabled("Debug")) for (const message of published) yield* logMessage("publish", message)
        const entries = published.map((message): Entry => ({ message, to: recipientsOf(message) }))
        yield* outbox.append(entries)
        unit.afterCommit(Effect.andThen(work.wake, events.wake))
      })

      /** Has all that waits behind a dead letter published once more. */
      const goOn = Effect.fnUntraced(function* (consumer: Consumer, key: ServiceCallKey) {
        const unit = yield* UnitOfWork
        yield* store.publishAll(consumer, key, yield* Clock.currentTimeMillis)
        const unpark = Effect.sync(() => inboxes.get(consumer)?.unpark(key))
        unit.afterCommit(Effect.andThen(unpark, work.wake))
      })

      return EventBusPort.of({
        publish: publishAtEnd(writeOut, isTracing),
        subscribe: <C extends Consumer, H extends Handlers<C>>(consumer: C, handlers: H) =>
          Effect.gen(function* () {
            const handle = yield* handleOf(consumer, handlers)
            const inbox = yield* makeJetStreamInbox(consumer, handle).pipe(
              Effect.provideService(Outbox, outbox),
              Effect.provideService(RelayStore, store),
              Effect.provideService(Transaction, transaction),
              Effect.provideService(Broker, broker)
            )
            inboxes.set(consumer, inbox)
            yield* publishLeft(consumer)
            yield* Effect.addFinalizer(() => Effect.sync(() => inboxes.delete(consumer)))
          }),
        replay: (consumer, seq, key) => transaction.run(ifSo(outbox.revive(consumer, seq), goOn(consumer, key))),
        discard: (consumer, seq, key) => transaction.run(ifSo(outbox.discard(consumer, seq), goOn(consumer, key))),
        health: Effect.gen(function* () {
          const ofInboxes = [...inboxes.values()].map((inbox) => inbox.trouble())
          const troubles = [yield* broker.trouble, yield* work.trouble, yield* events.trouble, ...ofInboxes]
          const parts: Array<PartHealth> = [
            { part: "bus", trouble: Option.getOrUndefined(Option.firstSomeOf(troubles)) }
          ]
          if (!consumedElsewhere.includes("execution")) return parts
          return [...parts, { part: "executors", trouble: yield* troubleOfExecutors }]
        }),
        republish: Effect.fnUntraced(function* (since) {
          let count = 0
          for (let last: number | undefined = 0; last !== undefined; ) {
            const now = yield* Clock.currentTimeMillis
            const page: { readonly count: number; readonly last: number | undefined } = yield* transaction.run(
              store.publishEvents(toMillis(since), last, now)
            )
            count += page.count
            last = page.last
            yield* events.wake
          }
          return Option.some(count)
        })
      })
    })
  )

/** Whether the broker has messages for the consumer that it has given to nobody yet. A missing consumer is made again. */
const hasPending = Effect.fnUntraced(function* (broker: Broker["Service"], consumer: Consumer) {
  const { stream } = yield* broker.ready
  const pending = Effect.tryPromise(async () => {
    const durable = await stream.consumers.get(streamNames(broker.prefix).work, consumer)
    return (await durable.info()).num_pending > 0
  })
  return yield* Effect.catch(pending, () => Effect.as(broker.check, false))
})

/** Its module gets a message over the work stream, and everybody who listens gets the events. */
const recipientsOf = ({ type }: Message): ReadonlyArray<Consumer | Relay> => {
  const consumers = consumersOf(type)
  return [
    ...consumers,
    ...(consumers.length > 0 ? (["relay-work"] as const) : []),
    ...(catalogue[type].kind === "event" ? (["relay-events"] as const) : [])
  ]
}
