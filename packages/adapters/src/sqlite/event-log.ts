import { EventLog, LOG_EVENTS_MAX, LOG_PAGE_MAX } from "@event-service-agent/platform/event-log"
import type { CorrelationId, ServiceCallId } from "@event-service-agent/schemas/ids"
import { catalogue, type MessageType } from "@event-service-agent/schemas/messages/catalogue"
import { fromMillis } from "@event-service-agent/schemas/time"
import { Effect, Layer } from "effect"
import { ReadConnection } from "./database.ts"

interface EventRow {
  readonly seq: number
  readonly type: MessageType
  readonly service_call_id: ServiceCallId
  readonly version: number
  readonly timestamp: number
  readonly correlation_id: CorrelationId
  readonly payload: string
}

const DOMAIN_EVENTS = Object.values(catalogue)
  .flatMap(({ kind, aggregateType, type }) =>
    kind === "event" && aggregateType === "ServiceCall" ? [`'${type}'`] : []
  )
  .join(", ")

export const layer = Layer.effect(
  EventLog,
  Effect.gen(function* () {
    const reader = yield* ReadConnection
    const last = reader.prepare<{ readonly seq: number }>("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'")
    const horizon = reader.prepare<{ readonly seq: number }>("SELECT seq FROM event_horizon")
    const pageEnd = reader.prepare<{ readonly seq: number | null }>(
      `SELECT max(seq) AS seq FROM (SELECT seq FROM outbox WHERE seq > ? ORDER BY seq LIMIT ${LOG_PAGE_MAX})`
    )
    const events = reader.prepare<EventRow>(
      `SELECT seq, type, service_call_id, version, timestamp, correlation_id, payload FROM outbox
       WHERE seq > ? AND seq <= ? AND tenant_id = ? AND type IN (${DOMAIN_EVENTS}) ORDER BY seq
       LIMIT ${LOG_EVENTS_MAX}`
    )

    return EventLog.of({
      last: Effect.map(last.first(), (row) => row?.seq ?? 0),
      horizon: Effect.map(horizon.first(), (row) => row?.seq ?? 0),
      after: Effect.fnUntraced(function* (tenantId, seq) {
        const end = (yield* pageEnd.first(seq))?.seq ?? seq
        const rows = end === seq ? [] : yield* events.all(seq, end, tenantId)
        const readTo = rows.length < LOG_EVENTS_MAX ? end : (rows.at(-1)?.seq ?? end)
        return { events: rows.map(toEvent), readTo }
      })
    })
  })
)

const toEvent = (row: EventRow) => ({
  seq: row.seq,
  type: row.type,
  serviceCallId: row.service_call_id,
  version: row.version,
  timestamp: fromMillis(row.timestamp),
  correlationId: row.correlation_id,
  payload: JSON.parse(row.payload)
})
