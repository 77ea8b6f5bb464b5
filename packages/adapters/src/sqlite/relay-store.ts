import { countToRead, MESSAGE_BYTES, RELAYS } from "@event-service-agent/platform/outbox"
import { Transaction } from "@event-service-agent/platform/transaction"
import { CONSUMERS } from "@event-service-agent/schemas/envelope"
import { catalogue } from "@event-service-agent/schemas/messages/catalogue"
import { Clock, Effect, Layer, Result } from "effect"
import { type Oldest, type RelayRow, RelayStore } from "../nats/relay-store.ts"
import { ReadConnection, WriteConnection } from "./database.ts"
import { DELIVERY_COLUMNS, type DeliveryRow, toDelivery } from "./outbox.ts"

/** Messages that are published once more by one unit. */
export const AGAIN_MAX = 1_000

const list = (texts: ReadonlyArray<string>): string => texts.map((text) => `'${text}'`).join(", ")
const EVENTS = list(Object.values(catalogue).flatMap(({ kind, type }) => (kind === "event" ? [type] : [])))

/** What a module has not handled, behind no dead letter. */
const UNHANDLED = `FROM deliveries d
  WHERE d.consumer = ? AND NOT EXISTS (
    SELECT 1 FROM dead_letters l
    WHERE l.tenant_id = d.tenant_id AND l.service_call_id = d.service_call_id AND l.consumer = d.consumer)`

/** A row for the relay, from each of these. */
const AGAIN = `
  INSERT INTO deliveries (consumer, seq, tenant_id, service_call_id, attempts, available_at)
  SELECT 'relay-work', d.seq, d.tenant_id, d.service_call_id, ?, 0 ${UNHANDLED}`

export const layer = Layer.effect(
  RelayStore,
  Effect.gen(function* () {
    const writer = yield* WriteConnection
    const reader = yield* ReadConnection
    const sizes = writer.prepare<{ readonly seq: number; readonly bytes: number }>(
      `SELECT d.seq, ${MESSAGE_BYTES} + coalesce(octet_length(o.sealed), 0) AS bytes
       FROM deliveries d JOIN outbox o ON o.seq = d.seq WHERE d.consumer = ? ORDER BY d.seq LIMIT ?`
    )
    const rowsUpTo = writer.prepare<RelayRow>(
      `SELECT d.seq, d.attempts AS again, o.message_id AS messageId, o.type, o.tenant_id AS tenantId,
         o.service_call_id AS serviceCallId, o.version, o.timestamp, o.correlation_id AS correlationId,
         o.causation_id AS causationId, o.payload, o.sealed, o.traceparent
       FROM deliveries d JOIN outbox o ON o.seq = d.seq WHERE d.consumer = ? AND d.seq <= ? ORDER BY d.seq`
    )
    const settle = writer.prepare("DELETE FROM deliveries WHERE consumer = ? AND seq = ? AND attempts = ?")
    const noteSent = writer.prepare(
      `UPDATE deliveries SET available_at = max(available_at, ?)
       WHERE consumer IN (${list(CONSUMERS)}) AND seq IN (SELECT value FROM json_each(?))`
    )
    const oldest = writer.prepare<DeliveryRow>(
      `SELECT ${DELIVERY_COLUMNS}
       WHERE d.consumer = ? AND d.tenant_id = ? AND d.service_call_id = ? ORDER BY d.seq LIMIT 1`
    )
    const bury = writer.prepare(
      `INSERT INTO dead_letters (consumer, seq, tenant_id, service_call_id, type, attempts, error, died_at)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?)`
    )
    const deleteDelivery = writer.prepare("DELETE FROM deliveries WHERE consumer = ? AND seq = ?")
    // What the broker has never had is not looked at: the time of its delivery is 0 until then.
    const againBefore = writer.prepare(
      `${AGAIN} AND d.available_at BETWEEN 1 AND ?
       ORDER BY d.seq LIMIT ${AGAIN_MAX} ON CONFLICT DO NOTHING`
    )
    const againEvenIfWaiting = "ON CONFLICT DO UPDATE SET attempts = excluded.attempts"
    const againAll = writer.prepare(`${AGAIN} ${againEvenIfWaiting}`)
    const againOf = writer.prepare(`${AGAIN} AND d.tenant_id = ? AND d.service_call_id = ? ${againEvenIfWaiting}`)
    const lastOfPage = writer.prepare<{ readonly last: number | null }>(
      `SELECT max(seq) AS last FROM (SELECT seq FROM outbox WHERE seq > ? ORDER BY seq LIMIT ${AGAIN_MAX})`
    )
    const eventsAgain = writer.prepare(
      `INSERT INTO deliveries (consumer, seq, tenant_id, service_call_id, attempts, available_at)
       SELECT 'relay-events', seq, tenant_id, service_call_id, ?, 0 FROM outbox
       WHERE seq > ? AND seq <= ? AND timestamp >= ? AND type IN (${EVENTS})
       ON CONFLICT DO UPDATE SET attempts = excluded.attempts`
    )
    const backlog = reader.prepare<{ readonly count: number; readonly oldestAt: number | null }>(
      `SELECT count(*) AS count, (SELECT o.timestamp FROM outbox o WHERE o.seq = (
         SELECT min(d.seq) FROM deliveries d WHERE d.consumer = ?1)) AS oldestAt
       FROM deliveries WHERE consumer = ?1`
    )
    const unhandledSince = reader.prepare<{ readonly at: number }>(
      `SELECT timestamp AS at FROM outbox WHERE seq = (SELECT d.seq ${UNHANDLED} ORDER BY d.seq LIMIT 1)`
    )

    return RelayStore.of({
      waiting: Effect.fnUntracedEager(function* (relay, limit) {
        const found = yield* sizes.all(relay, limit)
        const count = countToRead(
          found.map(({ bytes }) => bytes),
          limit
        )
        return count === 0 ? [] : yield* rowsUpTo.all(relay, found[count - 1]?.seq ?? 0)
      }),
      settle: Effect.fnUntracedEager(function* (relay, rows, now) {
        for (const { seq, again } of rows) yield* settle.run(relay, seq, again)
        if (relay === "relay-work") yield* noteSent.run(now, JSON.stringify(rows.map(({ seq }) => seq)))
      }),
      oldest: Effect.fnUntracedEager(function* (consumer, key) {
        const [row] = yield* oldest.all(consumer, key.tenantId, key.serviceCallId)
        if (row === undefined) return { _tag: "Nothing" } satisfies Oldest
        const { seq, attempts, type } = row
        const delivery = Result.try(() => toDelivery(row))
        if (Result.isSuccess(delivery)) return { _tag: "Delivery", delivery: delivery.success } satisfies Oldest
        const error = `it cannot be read: ${delivery.failure}`
        const diedAt = yield* Clock.currentTimeMillis
        yield* bury.run(consumer, seq, key.tenantId, key.serviceCallId, type, attempts, error, diedAt)
        yield* deleteDelivery.run(consumer, seq)
        return { _tag: "Unreadable", seq } satisfies Oldest
      }),
      publishUnhandled: (consumer, sentBefore, now) =>
        Effect.mapEager(againBefore.run(now, consumer, sentBefore), ({ changes }) => changes),
      publishAll: (consumer, key, now) =>
        Effect.mapEager(
          key === undefined ? againAll.run(now, consumer) : againOf.run(now, consumer, key.tenantId, key.serviceCallId),
          () => {}
        ),
      publishEvents: Effect.fnUntracedEager(function* (since, after, now) {
        const last = (yield* lastOfPage.all(after))[0]?.last ?? undefined
        if (last === undefined) return { count: 0, last }
        const { changes } = yield* eventsAgain.run(now, after, last, since)
        return { count: changes, last }
      }),
      unhandledSince: (consumer) => Effect.mapEager(unhandledSince.first(consumer), (row) => row?.at ?? null),
      backlog: (relay) => Effect.mapEager(backlog.all(relay), ([row]) => row ?? { count: 0, oldestAt: null })
    })
  })
)

/** Nobody publishes any more: without this, what waited for a broker would stay for ever. */
export const layerNoRelay = Layer.effectDiscard(
  Effect.gen(function* () {
    const writer = yield* WriteConnection
    const transaction = yield* Transaction
    const forget = writer.prepare(`DELETE FROM deliveries WHERE consumer IN (${list(RELAYS)})`)
    const { changes } = yield* transaction.run(forget.run())
    if (changes > 0) {
      yield* Effect.logWarning(
        `messages that were not published to NATS and will not be, as NATS_URL is not set: ${changes}. ` +
          "The calls go on here; `republish` can repeat the events later"
      )
    }
  })
)
