import type { Consumer } from "@event-service-agent/schemas/envelope"
import type { ServiceCallKey } from "@event-service-agent/schemas/ids"
import type { Message } from "@event-service-agent/schemas/messages/catalogue"
import { Context, Effect, Layer, Option } from "effect"
import type { StorageError } from "./storage-error.ts"
import { UnitOfWork } from "./transaction.ts"

/** Bytes of messages that are read at once: a thousand waiting calls may have a request of a megabyte each. */
export const READ_BYTES_MAX = 16 * 1_048_576
/** What a message counts beside its sealed request. */
export const MESSAGE_BYTES = 1_024

/** A message on its way to one consumer. Its row stays until the consumer has handled it. */
export interface Delivery {
  readonly seq: number
  /** How often the consumer has failed on it. */
  readonly attempts: number
  /** Not to be tried before: milliseconds since 1970. */
  readonly availableAt: number
  readonly message: Message
}

/** Who carries messages to a broker: what modules have to handle, and events for everybody else. */
export const RELAYS = ["relay-work", "relay-events"] as const
export type Relay = (typeof RELAYS)[number]

/** A message that is written, with those that have yet to handle or to publish it. */
export interface Entry {
  readonly message: Message
  readonly to: ReadonlyArray<Consumer | Relay>
}

/** A message that its consumer could not handle. Later messages of the same call wait behind it. */
export interface DeadLetter {
  readonly consumer: Consumer
  readonly seq: number
  readonly key: ServiceCallKey
  readonly type: Message["type"]
  readonly attempts: number
  /** What the handler failed with, for people. */
  readonly error: string
  /** Milliseconds since 1970. */
  readonly diedAt: number
}

/**
 * The log of all messages, in the order of their commits, and what each consumer has yet to handle. `seq` grows with
 * every append and is never used twice.
 */
export class Outbox extends Context.Service<
  Outbox,
  {
    /**
     * Adds the messages, and a delivery for each consumer that has yet to handle one. A sealed request is kept only for
     * them. Returns the seq of the first message; the others follow on it.
     */
    readonly append: (entries: ReadonlyArray<Entry>) => Effect.Effect<number, StorageError, UnitOfWork>
    /** Deletes the delivery. False when it was gone: the message has taken effect before. */
    readonly settle: (consumer: Consumer, seq: number) => Effect.Effect<boolean, StorageError, UnitOfWork>
    /** Keeps a failed delivery for another try. */
    readonly postpone: (
      consumer: Consumer,
      delivery: Pick<Delivery, "seq" | "attempts" | "availableAt">
    ) => Effect.Effect<void, StorageError, UnitOfWork>
    /** Turns a delivery into a dead letter. */
    readonly bury: (
      letter: Pick<DeadLetter, "consumer" | "seq" | "attempts" | "error" | "diedAt">
    ) => Effect.Effect<void, StorageError, UnitOfWork>
    /** Turns a dead letter back into a delivery without failures. False when there is none. */
    readonly revive: (consumer: Consumer, seq: number) => Effect.Effect<boolean, StorageError, UnitOfWork>
    /** Deletes a dead letter. False when there is none. */
    readonly discard: (consumer: Consumer, seq: number) => Effect.Effect<boolean, StorageError, UnitOfWork>
    /**
     * Deliveries in order of seq, at most `limit` and about `READ_BYTES_MAX`. Crosses tenants. What can no longer be read
     * becomes a dead letter on the way.
     */
    readonly deliveriesAfter: (
      consumer: Consumer,
      seq: number,
      limit: number
    ) => Effect.Effect<
      {
        readonly deliveries: ReadonlyArray<Delivery>
        readonly unreadable: ReadonlyArray<ServiceCallKey>
        /** Whether there may be further ones. */
        readonly hasMore: boolean
      },
      StorageError,
      UnitOfWork
    >
    /** All deliveries of one call in order of seq. */
    readonly deliveriesOf: (
      consumer: Consumer,
      key: ServiceCallKey
    ) => Effect.Effect<ReadonlyArray<Delivery>, StorageError, UnitOfWork>
    /** Oldest first. Crosses tenants. */
    readonly deadLetters: (limit: number) => Effect.Effect<ReadonlyArray<DeadLetter>, StorageError>
    /** One of them, by the message that it is. */
    readonly deadLetter: (consumer: Consumer, seq: number) => Effect.Effect<Option.Option<DeadLetter>, StorageError>
    readonly deadLettersOf: (key: ServiceCallKey) => Effect.Effect<ReadonlyArray<DeadLetter>, StorageError>
    /** The calls of a tenant with a message of this type that its consumer has not handled. */
    readonly unhandled: (
      type: Message["type"],
      tenantId: ServiceCallKey["tenantId"]
    ) => Effect.Effect<ReadonlySet<ServiceCallKey["serviceCallId"]>, StorageError>
    /** Erases the sealed requests from the messages of a call that has ended. */
    readonly eraseSealed: (key: ServiceCallKey) => Effect.Effect<void, StorageError, UnitOfWork>
  }
>()("@event-service-agent/platform/Outbox") {
  static readonly layerMemory = Layer.sync(Outbox, () => makeMemory())
}

/** Where a message's call is: the tenant and the id that its aggregate carries. */
export const keyOf = (message: Pick<Message, "tenantId" | "aggregateId">): ServiceCallKey => ({
  tenantId: message.tenantId,
  serviceCallId: message.aggregateId
})

/** How many messages are read at once, by the bytes of each: at most `limit`, and none after `READ_BYTES_MAX`. */
export const countToRead = (sizes: ReadonlyArray<number>, limit: number): number => {
  let bytes = 0
  let count = 0
  for (; count < Math.min(sizes.length, limit) && bytes < READ_BYTES_MAX; count++) bytes += sizes[count] ?? 0
  return count
}

/** What a message takes in memory, roughly: its sealed request is all that can be large. */
export const bytesOf = (message: Message): number =>
  MESSAGE_BYTES + ("sealed" in message.payload ? (message.payload.sealed?.byteLength ?? 0) : 0)

interface Row extends Delivery {
  readonly consumer: Consumer | Relay
  readonly letter: DeadLetter | undefined
}

const makeMemory = (): Outbox["Service"] => {
  let lastSeq = 0
  const rows = new Map<string, Row>()
  const idOf = (consumer: Consumer | Relay, seq: number) => `${consumer}/${seq}`
  const inOrder = () => [...rows.values()].sort((a, b) => a.seq - b.seq)
  const isOf = (key: ServiceCallKey) => (row: Row) =>
    row.message.tenantId === key.tenantId && row.message.aggregateId === key.serviceCallId
  const letters = () => inOrder().flatMap((row) => row.letter ?? [])

  /** Replaces or removes a row, so that a rollback takes it back. */
  const put = (id: string, row: Row | undefined) =>
    Effect.map(UnitOfWork, (unit) => {
      const before = rows.get(id)
      unit.onRollback(() => (before === undefined ? rows.delete(id) : rows.set(id, before)))
      if (row === undefined) rows.delete(id)
      else rows.set(id, row)
    })
  /** Changes the row if it is in the wanted state. Whether it was. */
  const change = (id: string, isDead: boolean, next: (row: Row) => Row | undefined) =>
    Effect.suspend(() => {
      const row = rows.get(id)
      if (row === undefined || (row.letter !== undefined) !== isDead) return Effect.succeed(false)
      return Effect.as(put(id, next(row)), true)
    })

  return {
    append: Effect.fnUntraced(function* (entries) {
      const first = lastSeq + 1
      for (const { message, to } of entries) {
        const seq = ++lastSeq
        for (const consumer of to) {
          yield* put(idOf(consumer, seq), { consumer, seq, attempts: 0, availableAt: 0, message, letter: undefined })
        }
      }
      return first
    }),
    settle: (consumer, seq) => change(idOf(consumer, seq), false, () => undefined),
    postpone: (consumer, { seq, attempts, availableAt }) =>
      Effect.asVoid(change(idOf(consumer, seq), false, (row) => ({ ...row, attempts, availableAt }))),
    bury: ({ consumer, seq, attempts, error, diedAt }) =>
      Effect.asVoid(
        change(idOf(consumer, seq), false, (row) => {
          const { message } = row
          return { ...row, letter: { consumer, seq, key: keyOf(message), type: message.type, attempts, error, diedAt } }
        })
      ),
    revive: (consumer, seq) =>
      change(idOf(consumer, seq), true, (row) => ({ ...row, attempts: 0, availableAt: 0, letter: undefined })),
    discard: (consumer, seq) => change(idOf(consumer, seq), true, () => undefined),
    deliveriesAfter: (consumer, seq, limit) =>
      Effect.sync(() => {
        const later = inOrder().filter((row) => row.consumer === consumer && row.letter === undefined && row.seq > seq)
        const sizes = later.map(({ message }) => bytesOf(message))
        const deliveries = later.slice(0, countToRead(sizes, limit))
        return { deliveries, unreadable: [], hasMore: deliveries.length < later.length }
      }),
    deliveriesOf: (consumer, key) =>
      Effect.sync(() =>
        inOrder().filter((row) => row.consumer === consumer && row.letter === undefined && isOf(key)(row))
      ),
    deadLetters: (limit) => Effect.sync(() => letters().slice(0, limit)),
    deadLetter: (consumer, seq) =>
      Effect.sync(() =>
        Option.fromNullishOr(letters().find((letter) => letter.consumer === consumer && letter.seq === seq))
      ),
    deadLettersOf: (key) =>
      Effect.sync(() =>
        inOrder()
          .filter(isOf(key))
          .flatMap((row) => row.letter ?? [])
      ),
    unhandled: (type, tenantId) =>
      Effect.sync(
        () =>
          new Set(
            inOrder()
              .filter((row) => row.message.type === type && row.message.tenantId === tenantId)
              .map((row) => row.message.aggregateId)
          )
      ),
    // Nothing of memory outlives the process, and a handled message is not kept.
    eraseSealed: () => Effect.void
  }
}
