import {
  countToRead,
  type DeadLetter,
  type Delivery,
  type Entry,
  MESSAGE_BYTES,
  Outbox
} from "@event-service-agent/platform/outbox"
import { Tracing } from "@event-service-agent/platform/tracing"
import { CONSUMERS, type Consumer } from "@event-service-agent/schemas/envelope"
import type {
  CorrelationId,
  MessageId,
  ServiceCallId,
  ServiceCallKey,
  TenantId
} from "@event-service-agent/schemas/ids"
import { catalogue, type Message, type MessageType } from "@event-service-agent/schemas/messages/catalogue"
import { fromMillis, toMillis } from "@event-service-agent/schemas/time"
import { Clock, Effect, Layer, Option, Predicate, Result, Schema } from "effect"
import { ReadConnection, WriteConnection } from "./database.ts"
import { insertRows } from "./rows.ts"

export interface DeliveryRow {
  readonly seq: number
  readonly attempts: number
  readonly available_at: number
  readonly message_id: MessageId
  readonly type: MessageType
  readonly tenant_id: TenantId
  readonly service_call_id: ServiceCallId
  readonly version: number
  readonly timestamp: number
  readonly correlation_id: CorrelationId
  readonly causation_id: MessageId | null
  readonly payload: string
  readonly sealed: Uint8Array | null
  readonly traceparent: string | null
}

interface DeadLetterRow extends Omit<DeadLetter, "key" | "diedAt"> {
  readonly tenant_id: TenantId
  readonly service_call_id: ServiceCallId
  readonly died_at: number
}

export const DELIVERY_COLUMNS = `
  d.seq, d.attempts, d.available_at, o.message_id, o.type, o.tenant_id, o.service_call_id, o.version, o.timestamp,
  o.correlation_id, o.causation_id, o.payload, o.sealed, o.traceparent
  FROM deliveries d JOIN outbox o ON o.seq = d.seq`

/** Not the relays, which only publish. */
const CONSUMER_LIST = CONSUMERS.map((consumer) => `'${consumer}'`).join(", ")

export const layer = Layer.effect(
  Outbox,
  Effect.gen(function* () {
    const writer = yield* WriteConnection
    const reader = yield* ReadConnection
    const isTracing = yield* Tracing
    const appendMessages = insertRows(
      writer,
      `INSERT INTO outbox (message_id, type, schema_version, tenant_id, service_call_id, version, timestamp,
         correlation_id, causation_id, payload, sealed${isTracing ? ", traceparent" : ""}) VALUES`,
      isTracing ? 12 : 11
    )
    const toRow = isTracing ? toTracedRow : toPlainRow
    const appendDeliveries = insertRows(
      writer,
      "INSERT INTO deliveries (consumer, seq, tenant_id, service_call_id, attempts, available_at) VALUES",
      6
    )
    const settle = writer.prepare("DELETE FROM deliveries WHERE consumer = ? AND seq = ?")
    const postpone = writer.prepare(
      "UPDATE deliveries SET attempts = ?, available_at = ? WHERE consumer = ? AND seq = ?"
    )
    const bury = writer.prepare(
      `INSERT INTO dead_letters (consumer, seq, tenant_id, service_call_id, type, attempts, error, died_at)
       SELECT d.consumer, d.seq, d.tenant_id, d.service_call_id, o.type, ?, ?, ?
       FROM deliveries d JOIN outbox o ON o.seq = d.seq WHERE d.consumer = ? AND d.seq = ?`
    )
    const revive = writer.prepare(
      `INSERT INTO deliveries (consumer, seq, tenant_id, service_call_id, attempts, available_at)
       SELECT consumer, seq, tenant_id, service_call_id, 0, 0 FROM dead_letters WHERE consumer = ? AND seq = ?`
    )
    const discard = writer.prepare("DELETE FROM dead_letters WHERE consumer = ? AND seq = ?")
    const sizesAfter = writer.prepare<{ readonly seq: number; readonly bytes: number }>(
      `SELECT d.seq, ${MESSAGE_BYTES} + coalesce(octet_length(o.sealed), 0) AS bytes FROM deliveries d JOIN outbox o ON o.seq = d.seq
       WHERE d.consumer = ? AND d.seq > ? ORDER BY d.seq LIMIT ?`
    )
    const deliveriesBetween = writer.prepare<DeliveryRow>(
      `SELECT ${DELIVERY_COLUMNS} WHERE d.consumer = ? AND d.seq > ? AND d.seq <= ? ORDER BY d.seq`
    )
    const deliveriesOf = writer.prepare<DeliveryRow>(
      `SELECT ${DELIVERY_COLUMNS} WHERE d.consumer = ? AND d.tenant_id = ? AND d.service_call_id = ? ORDER BY d.seq`
    )
    const deadLetters = reader.prepare<DeadLetterRow>("SELECT * FROM dead_letters ORDER BY seq LIMIT ?")
    const deadLetter = reader.prepare<DeadLetterRow>("SELECT * FROM dead_letters WHERE consumer = ? AND seq = ?")
    const deadLettersOf = reader.prepare<DeadLetterRow>(
      "SELECT * FROM dead_letters WHERE tenant_id = ? AND service_call_id = ? ORDER BY seq"
    )
    const unhandled = reader.prepare<{ readonly service_call_id: ServiceCallId }>(
      `SELECT w.service_call_id FROM (
         SELECT seq, tenant_id, service_call_id FROM deliveries WHERE consumer IN (${CONSUMER_LIST}) UNION ALL
         SELECT seq, tenant_id, service_call_id FROM dead_letters
       ) w JOIN outbox o ON o.seq = w.seq WHERE w.tenant_id = ? AND o.type = ?`
    )
    const eraseSealed = writer.prepare(
      "UPDATE outbox SET sealed = NULL WHERE tenant_id = ? AND service_call_id = ? AND sealed IS NOT NULL"
    )
    const eraseSealedOf = writer.prepare("UPDATE outbox SET sealed = NULL WHERE seq = ? AND sealed IS NOT NULL")

    return Outbox.of({
      append: Effect.fnUntracedEager(function* (entries) {
        const lastSeq = yield* appendMessages(entries.map(toRow))
        const firstSeq = lastSeq - entries.length + 1
        yield* appendDeliveries(
          entries.flatMap(({ message, to }, index) =>
            to.map((consumer) => [consumer, firstSeq + index, message.tenantId, message.aggregateId, 0, 0])
          )
        )
        return firstSeq
      }),
      settle: (consumer, seq) => Effect.mapEager(settle.run(consumer, seq), ({ changes }) => changes === 1),
      postpone: (consumer, { seq, attempts, availableAt }) =>
        Effect.mapEager(postpone.run(attempts, availableAt, consumer, seq), () => {}),
      bury: Effect.fnUntracedEager(function* ({ consumer, seq, attempts, error, diedAt }) {
        yield* bury.run(attempts, error, diedAt, consumer, seq)
        yield* settle.run(consumer, seq)
      }),
      revive: Effect.fnUntracedEager(function* (consumer, seq) {
        yield* revive.run(consumer, seq)
        return (yield* discard.run(consumer, seq)).changes === 1
      }),
      discard: Effect.fnUntracedEager(function* (consumer, seq) {
        const { changes } = yield* discard.run(consumer, seq)
        // It goes to one consumer, so nobody will open its request any more.
        if (changes === 1) yield* eraseSealedOf.run(seq)
        return changes === 1
      }),
      deliveriesAfter: Effect.fnUntracedEager(function* (consumer, seq, limit) {
        const unreadable: Array<ServiceCallKey> = []
        const sizes = yield* sizesAfter.all(consumer, seq, limit + 1)
        const count = countToRead(
          sizes.map(({ bytes }) => bytes),
          limit
        )
        const last = sizes[count - 1]?.seq ?? 0
        const hasMore = count < sizes.length
        for (;;) {
          const rows = yield* deliveriesBetween.all(consumer, seq, last)
          const read = rows.map((row) => ({ row, delivery: Result.try(() => toDelivery(row)) }))
          const deliveries = read.flatMap(({ delivery }) => (Result.isSuccess(delivery) ? delivery.success : []))
          if (deliveries.length === rows.length) return { deliveries, unreadable, hasMore }
          // Whatever wrote it, it must not hold up the messages of other calls. Then the page is read again.
          const diedAt = yield* Clock.currentTimeMillis
          for (const { row, delivery } of read) {
            if (Result.isSuccess(delivery)) continue
            yield* bury.run(row.attempts, `it cannot be read: ${delivery.failure}`, diedAt, consumer, row.seq)
            yield* settle.run(consumer, row.seq)
            unreadable.push({ tenantId: row.tenant_id, serviceCallId: row.service_call_id })
          }
        }
      }),
      deliveriesOf: (consumer: Consumer, key: ServiceCallKey) =>
        Effect.mapEager(deliveriesOf.all(consumer, key.tenantId, key.serviceCallId), (rows) => rows.map(toDelivery)),
      deadLetters: (limit) => Effect.mapEager(deadLetters.all(limit), (rows) => rows.map(toDeadLetter)),
      deadLetter: (consumer, seq) =>
        Effect.mapEager(deadLetter.first(consumer, seq), (row) => Option.map(Option.fromNullishOr(row), toDeadLetter)),
      deadLettersOf: (key) =>
        Effect.mapEager(deadLettersOf.all(key.tenantId, key.serviceCallId), (rows) => rows.map(toDeadLetter)),
      unhandled: (type, tenantId) =>
        Effect.mapEager(unhandled.all(tenantId, type), (rows) => new Set(rows.map((row) => row.service_call_id))),
      eraseSealed: (key) => Effect.mapEager(eraseSealed.run(key.tenantId, key.serviceCallId), () => {})
    })
  })
)

/** The payload of each type as JSON, without the sealed request: that has its own column, where it can be erased. */
const decoderOf = <Type, Encoded>(payload: Schema.Codec<Type, Encoded>) =>
  Schema.decodeUnknownSync(Schema.fromJsonString(payload))
const decoders = new Map(
  Object.values(catalogue).map(({ type, payload }) => [type, decoderOf<unknown, unknown>(payload)])
)
const decoderFor = (type: MessageType) => {
  const decode = decoders.get(type)
  if (decode === undefined) throw new Error(`the outbox holds a message of the unknown type ${type}`)
  return decode
}

const toPlainRow = ({ message, to }: Entry) => {
  const { payload } = message
  const hasSealed = "sealed" in payload
  return [
    message.messageId,
    message.type,
    message.schemaVersion,
    message.tenantId,
    message.aggregateId,
    message.version,
    toMillis(message.timestamp),
    message.correlationId,
    message.causationId,
    // As the schemas encode it, at a third of their cost: plain data, and times that write themselves as RFC 3339.
    JSON.stringify(hasSealed ? { ...payload, sealed: null } : payload),
    hasSealed && to.length > 0 ? payload.sealed : null
  ]
}

const toTracedRow = (entry: Entry) => [...toPlainRow(entry), entry.message.traceparent ?? null]

export const toDelivery = (row: DeliveryRow): Delivery => {
  const payload = decoderFor(row.type)(row.payload)
  const message = {
    messageId: row.message_id,
    type: row.type,
    schemaVersion: 1,
    tenantId: row.tenant_id,
    aggregateType: catalogue[row.type].aggregateType,
    aggregateId: row.service_call_id,
    version: row.version,
    timestamp: fromMillis(row.timestamp),
    correlationId: row.correlation_id,
    causationId: row.causation_id,
    payload: Predicate.hasProperty(payload, "sealed") ? { ...payload, sealed: row.sealed } : payload,
    ...(row.traceparent === null ? {} : { traceparent: row.traceparent })
  } as Message // type and payload belong together: the row was written from a message
  return { seq: row.seq, attempts: row.attempts, availableAt: row.available_at, message }
}

const toDeadLetter = (row: DeadLetterRow): DeadLetter => ({
  consumer: row.consumer,
  seq: row.seq,
  key: { tenantId: row.tenant_id, serviceCallId: row.service_call_id },
  type: row.type,
  attempts: row.attempts,
  error: row.error,
  diedAt: row.died_at
})
