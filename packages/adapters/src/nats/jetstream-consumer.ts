import { makeFailedDeliveries } from "@event-service-agent/platform/failed-delivery"
import { type Handle, INBOX_DRAIN_MS } from "@event-service-agent/platform/inbox"
import { logMessage } from "@event-service-agent/platform/message-log"
import { type Delivery, Outbox } from "@event-service-agent/platform/outbox"
import { logRetry, retryStorage } from "@event-service-agent/platform/storage-error"
import { Transaction } from "@event-service-agent/platform/transaction"
import type { Consumer } from "@event-service-agent/schemas/envelope"
import { callName, type ServiceCallKey } from "@event-service-agent/schemas/ids"
import { streamNames } from "@event-service-agent/schemas/nats"
import type { ConsumerMessages, JsMsg } from "@nats-io/jetstream"
import { Clock, Effect, Exit, FiberSet, Latch, LogLevel, Option } from "effect"
import { Broker } from "./broker.ts"
import { RelayStore } from "./relay-store.ts"
import { type Incoming, toIncoming } from "./wire.ts"

/** Messages that are asked for at once. */
const PULL_MAX = 100
/** A consumer that is deleted and made again may not be told: it notices when two of these have not come. */
const HEARTBEAT_MS = 2_000
const HEARTBEATS_MISSED_MAX = 3
/** Pause before a message that came too early, or whose stream was gone, is tried again. */
const EARLY_FIRST_MS = 50
const EARLY_MAX_MS = 5_000
const CONSUME_AGAIN_MS = 500

/** What a consumer says of a message to the broker. */
type Answer =
  | { readonly _tag: "Done" }
  /** It is a dead letter: nobody is to get it again. */
  | { readonly _tag: "Given up" }
  | { readonly _tag: "Later"; readonly pauseMs: number }

const DONE: Answer = { _tag: "Done" }
const GIVEN_UP: Answer = { _tag: "Given up" }

/** One module's durable consumer. */
export interface JetStreamInbox {
  /** Lets the messages of a call go on that waited behind a dead letter. */
  readonly unpark: (key: ServiceCallKey) => void
  /** Why the broker gives nothing out at the moment, for people. */
  readonly trouble: () => Option.Option<string>
}

/**
 * Handles a consumer's messages until the scope ends: those of one call one after the other, calls side by side. What
 * has to be done, the row says: the message is from the outbox, what came over the broker only points to it. Without
 * its row it is a repetition; while an older one of its call is there, it is too early.
 */
export const makeJetStreamInbox = Effect.fnUntraced(function* (consumer: Consumer, handle: Handle) {
  const store = yield* RelayStore
  const outbox = yield* Outbox
  const transaction = yield* Transaction
  const broker = yield* Broker
  const failed = yield* makeFailedDeliveries(consumer)
  const parked = new Set<string>()
  const lanes = new Map<string, Array<JsMsg>>()
  const isIdle = Latch.makeUnsafe(true)

  for (const letter of yield* retryStorage(outbox.deadLetters(Number.MAX_SAFE_INTEGER))) {
    if (letter.consumer === consumer) parked.add(callName(letter.key))
  }

  const handleNext = ({ key, seq }: Incoming, deliveryCount: number) => {
    let current: Delivery | undefined
    const unit = Effect.gen(function* () {
      const oldest = yield* store.oldest(consumer, key)
      if (oldest._tag === "Nothing") return DONE
      if (oldest._tag === "Unreadable") return GIVEN_UP
      const { delivery } = oldest
      if (delivery.seq > seq) return DONE
      if (delivery.seq < seq) {
        const dueMs = delivery.availableAt - (yield* Clock.currentTimeMillis)
        const pauseMs = Math.max(dueMs, EARLY_FIRST_MS * 2 ** Math.min(deliveryCount, 10))
        return { _tag: "Later", pauseMs: Math.min(pauseMs, EARLY_MAX_MS) } satisfies Answer
      }
      current = delivery
      if (yield* LogLevel.isEnabled("Debug")) yield* logMessage("consume", delivery.message)
      yield* outbox.settle(consumer, seq)
      yield* handle(delivery.message)
      return DONE
    })
    return Effect.flatMap(
      Effect.exit(transaction.run(unit)),
      Effect.fnUntraced(function* (exit) {
        if (Exit.isSuccess(exit)) {
          if (exit.value._tag === "Given up") parked.add(callName(key))
          return exit.value
        }
        if (current === undefined) {
          yield* logRetry("a message could not be looked up, it will come again", exit.cause)
          return { _tag: "Later", pauseMs: EARLY_FIRST_MS } satisfies Answer
        }
        const verdict = yield* failed.judge(current, exit.cause)
        if (verdict._tag === "Later") return verdict
        parked.add(callName(key))
        return GIVEN_UP
      })
    )
  }

  let isForeignTold = false
  const tellForeign = Effect.suspend(() => {
    if (isForeignTold) return Effect.void
    isForeignTold = true
    const what = `${consumer} drops messages that this agent has not published`
    return Effect.logWarning(`${what}: nobody else may publish to ${streamNames(broker.prefix).work}`)
  })

  const work = Effect.fnUntraced(function* (name: string, queue: Array<JsMsg>) {
    for (let message = queue[0]; message !== undefined; message = queue[0]) {
      const incoming = toIncoming(message.subject, message.headers)
      if (incoming === undefined) yield* tellForeign
      // What waits behind a dead letter stays in the outbox until that is replayed or discarded.
      const isNothing = incoming === undefined || parked.has(name)
      tell(message, isNothing ? DONE : yield* handleNext(incoming, message.info.deliveryCount))
      queue.shift()
    }
    lanes.delete(name)
    if (lanes.size === 0) isIdle.openUnsafe()
  })

  const begin = yield* FiberSet.makeRuntime<never>()
  const accept = (message: JsMsg) => {
    if (isStopping) {
      message.nak()
      return
    }
    const name = message.subject.split(".").slice(-2).join("/")
    const lane = lanes.get(name)
    if (lane !== undefined) {
      lane.push(message)
      return
    }
    const queue = [message]
    lanes.set(name, queue)
    isIdle.closeUnsafe()
    begin(work(name, queue))
  }

  let messages: ConsumerMessages | undefined
  let isStopping = false
  let problem: string | undefined
  /** What the broker says of the pulls, until they end. Silence beyond the heartbeats is what a refused one leaves. */
  const watch = async (pulled: ConsumerMessages) => {
    for await (const status of pulled.status()) {
      if (status.type === "heartbeats_missed" && status.count >= HEARTBEATS_MISSED_MAX) {
        problem = `NATS gives no messages to ${consumer}: it does not answer, or may not be asked`
      } else if (status.type === "heartbeat") problem = undefined
    }
  }
  const consume = Effect.gen(function* () {
    const { stream } = yield* broker.ready
    yield* Effect.tryPromise(async () => {
      const durable = await stream.consumers.get(streamNames(broker.prefix).work, consumer)
      messages = await durable.consume({
        max_messages: PULL_MAX,
        idle_heartbeat: HEARTBEAT_MS,
        abort_on_missing_resource: true
      })
      watch(messages).catch(() => {})
      if (isStopping) messages.stop()
      for await (const message of messages) {
        problem = undefined
        accept(message)
      }
    }).pipe(
      Effect.catch(({ cause }) => {
        const before = problem
        problem = `NATS gives no messages to ${consumer}: ${cause instanceof Error ? cause.message : cause}`
        return isStopping || problem === before ? Effect.void : Effect.logWarning(problem)
      })
    )
    // Its stream or itself was deleted.
    if (!isStopping) yield* broker.check
    yield* Effect.sleep(CONSUME_AGAIN_MS)
  })

  // What is in hand can be finished; what is not, goes back to the broker.
  yield* Effect.addFinalizer(() =>
    Effect.timeoutOption(Effect.interruptible(isIdle.await), INBOX_DRAIN_MS).pipe(
      Effect.andThen(
        Effect.sync(() => {
          for (const queue of lanes.values()) for (const message of queue) message.nak()
        })
      )
    )
  )
  yield* Effect.forkScoped(Effect.forever(consume))
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      isStopping = true
      messages?.stop()
    })
  )
  return {
    unpark: (key: ServiceCallKey) => {
      parked.delete(callName(key))
    },
    trouble: () => Option.fromNullishOr(problem)
  } satisfies JetStreamInbox
})

const tell = (message: JsMsg, answer: Answer): void => {
  if (answer._tag === "Done") message.ack()
  else if (answer._tag === "Given up") message.term()
  else message.nak(answer.pauseMs)
}
