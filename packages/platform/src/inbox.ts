import type { Consumer } from "@event-service-agent/schemas/envelope"
import { callName, type ServiceCallKey } from "@event-service-agent/schemas/ids"
import type { Message } from "@event-service-agent/schemas/messages/catalogue"
import { Clock, Effect, Exit, Latch, LogLevel, Option, Scope } from "effect"
import { makeFailedDeliveries } from "./failed-delivery.ts"
import { logMessage } from "./message-log.ts"
import { bytesOf, type Delivery, keyOf, Outbox } from "./outbox.ts"
import { retryStorage, STORAGE_RETRY_MS } from "./storage-error.ts"
import { Transaction, UnitOfWork } from "./transaction.ts"

/** Messages that one consumer holds in memory; further ones wait in the outbox. */
export const HELD_MAX = 2_000

/** Bytes that they may take together. */
export const HELD_BYTES_MAX = 64 * 1_048_576

/** How long a consumer that stops goes on with the messages it can handle at once. */
export const INBOX_DRAIN_MS = 2_000

/** Writes what follows from a message. The acknowledgement commits with it. */
export type Handle = (message: Message) => Effect.Effect<void, unknown, UnitOfWork>

/** One consumer's messages in memory: a lane for each call, worked on side by side, each in order. */
export interface Inbox {
  readonly handle: Handle
  /** Whether the consumer has handled everything that there was for the message's call. */
  readonly isFreeFor: (message: Message) => boolean
  /** Lets nothing of the message's call overtake it on its way here. Returns what ends that. */
  readonly reserve: (message: Message) => () => void
  /** Takes a message that was just committed. */
  readonly handOver: (delivery: Delivery) => Effect.Effect<void>
  /** Lets the messages of a call go on that waited behind a dead letter. */
  readonly unpark: (key: ServiceCallKey, waiting: ReadonlyArray<Delivery>) => Effect.Effect<void>
  /** Reads on in the outbox from where memory ends. */
  readonly refill: Effect.Effect<void>
}

/** The messages of one call that wait here, in order. A fiber works on the first of them. */
interface Lane {
  readonly name: string
  readonly queue: Array<Delivery>
}

export const makeInbox = Effect.fnUntraced(function* (consumer: Consumer, handle: Handle) {
  const outbox = yield* Outbox
  const transaction = yield* Transaction
  const failed = yield* makeFailedDeliveries(consumer)
  // The lanes' own: it closes after the drain, which is registered later.
  const scope = yield* Scope.fork(yield* Effect.scope)
  const lanes = new Map<string, Lane>()
  const parked = new Set<string>()
  /** How many messages of each call will be handed over. */
  const reserved = new Map<string, number>()
  let held = 0
  let heldBytes = 0
  /** Lanes that are not waiting for a later try. */
  let busy = 0
  const isIdle = Latch.makeUnsafe(true)
  /** The highest seq that has come into memory. */
  let lastSeq = 0
  /** There may be messages that are only in the outbox: at the start, and after memory was full. */
  let isBehind = true
  let isRefilling = false

  for (const letter of yield* retryStorage(outbox.deadLetters(Number.MAX_SAFE_INTEGER))) {
    if (letter.consumer === consumer) parked.add(callName(letter.key))
  }

  const enqueue = (delivery: Delivery): Effect.Effect<void> => {
    const name = callName(keyOf(delivery.message))
    if (parked.has(name)) return Effect.void
    held++
    heldBytes += bytesOf(delivery.message)
    const lane = lanes.get(name)
    if (lane !== undefined) {
      lane.queue.push(delivery)
      return Effect.void
    }
    const opened = { name, queue: [delivery] }
    lanes.set(name, opened)
    countBusy(1)
    return Effect.asVoid(Effect.forkIn(work(opened), scope))
  }

  const letGo = (deliveries: ReadonlyArray<Delivery>) => {
    held -= deliveries.length
    for (const { message } of deliveries) heldBytes -= bytesOf(message)
  }

  const countBusy = (change: 1 | -1) => {
    busy += change
    if (busy === 0) isIdle.openUnsafe()
    else isIdle.closeUnsafe()
  }

  const take = (delivery: Delivery): Effect.Effect<void> => {
    if (delivery.seq <= lastSeq) return Effect.void
    lastSeq = delivery.seq
    return enqueue(delivery)
  }

  const readOn = Effect.gen(function* () {
    const unit = yield* UnitOfWork
    const { deliveries, unreadable, hasMore } = yield* outbox.deliveriesAfter(consumer, lastSeq, HELD_MAX - held)
    unit.afterCommit(
      Effect.suspend(() => {
        isBehind = hasMore
        for (const key of unreadable) parked.add(callName(key))
        return Effect.forEach(deliveries, take, { discard: true })
      })
    )
  })
  // The read is a unit of the writer, so every message is either in it or handed over after it.
  const refill: Effect.Effect<void> = Effect.suspend(() => {
    if (!isBehind || isRefilling || held > HELD_MAX / 2 || heldBytes > HELD_BYTES_MAX / 2) return Effect.void
    isRefilling = true
    return retryStorage(transaction.run(readOn)).pipe(
      Effect.ensuring(
        Effect.sync(() => {
          isRefilling = false
        })
      ),
      Effect.andThen(refill)
    )
  })

  const work = Effect.fnUntraced(function* (lane: Lane) {
    for (let next = lane.queue[0]; next !== undefined; next = lane.queue[0]) {
      // Bounded, so that a clock that was set back does not prolong it.
      const pauseMs = Math.min(
        next.availableAt - (yield* Clock.currentTimeMillis),
        Math.max(STORAGE_RETRY_MS, failed.backoffMs(next.attempts))
      )
      if (pauseMs > 0) {
        countBusy(-1)
        yield* Effect.sleep(pauseMs)
        countBusy(1)
      }
      const retry = yield* deliver(next)
      if (Option.isSome(retry)) {
        lane.queue[0] = retry.value
      } else {
        lane.queue.shift()
        letGo([next])
        if (isBehind) yield* Effect.forkIn(refill, scope)
      }
    }
    lanes.delete(lane.name)
    countBusy(-1)
  })

  /** Handles one message. Returns the delivery for its next try, or none when this consumer is done with it. */
  const deliver = (delivery: Delivery): Effect.Effect<Option.Option<Delivery>> => {
    const { message, seq } = delivery
    const handled = Effect.gen(function* () {
      if (yield* LogLevel.isEnabled("Debug")) yield* logMessage("consume", message)
      const isFirst = yield* outbox.settle(consumer, seq)
      if (isFirst) yield* handle(message)
    })
    return Effect.flatMap(
      Effect.exit(transaction.run(handled)),
      Effect.fnUntraced(function* (exit) {
        if (Exit.isSuccess(exit)) return Option.none()
        const verdict = yield* failed.judge(delivery, exit.cause)
        if (verdict._tag === "Later") return Option.some(verdict.delivery)
        const name = callName(keyOf(message))
        parked.add(name)
        // What waits behind the dead letter stays in the outbox until it is replayed or discarded.
        letGo(lanes.get(name)?.queue.splice(1) ?? [])
        return Option.none()
      })
    )
  }

  // What can be handled now does not have to wait for the next start. Only the wait is interruptible: the fiber that
  // stops the service is an interrupted one, and would end the drain at once.
  yield* Effect.addFinalizer(() => Effect.timeoutOption(Effect.interruptible(isIdle.await), INBOX_DRAIN_MS))

  const inbox: Inbox = {
    handle,
    isFreeFor: (message) => {
      const name = callName(keyOf(message))
      return !(isBehind || lanes.has(name) || reserved.has(name) || parked.has(name))
    },
    reserve: (message) => {
      const name = callName(keyOf(message))
      reserved.set(name, (reserved.get(name) ?? 0) + 1)
      return () => {
        const others = (reserved.get(name) ?? 1) - 1
        if (others === 0) reserved.delete(name)
        else reserved.set(name, others)
      }
    },
    handOver: (delivery) => {
      if (held >= HELD_MAX || heldBytes >= HELD_BYTES_MAX) isBehind = true
      return isBehind ? Effect.void : take(delivery)
    },
    unpark: (key, waiting) => {
      parked.delete(callName(key))
      return Effect.forEach(waiting, enqueue, { discard: true })
    },
    refill
  }
  return inbox
})
