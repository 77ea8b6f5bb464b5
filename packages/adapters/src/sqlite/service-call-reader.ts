import type { SQLQueryBindings } from "bun:sqlite"
import type { Failed, ServiceCall } from "@event-service-agent/orchestration/domain/service-call"
import {
  COUNTED_TAGS_MAX,
  type Cursor,
  type ServiceCallDetail,
  type ServiceCallFilter,
  ServiceCallReader,
  type ServiceCallSummary,
  type Status
} from "@event-service-agent/orchestration/ports/service-call-reader"
import { CONSUMERS, type Consumer } from "@event-service-agent/schemas/envelope"
import type { TenantId } from "@event-service-agent/schemas/ids"
import { STARRED } from "@event-service-agent/schemas/tags"
import { fromMillis, toMillis } from "@event-service-agent/schemas/time"
import { Clock, type DateTime, Effect, Layer, Option } from "effect"
import type { Prepared } from "../bun/sqlite.ts"
import { ReadConnection } from "./database.ts"
import { type ServiceCallRow, toServiceCall } from "./service-call-rows.ts"

interface WaitingRow {
  readonly is_due: 0 | 1 | null
  readonly running_of_tenant: number
  readonly running_of_all: number
  readonly due_before: number
  readonly place_free_at_of_tenant: number | null
  readonly place_free_at_of_all: number | null
  readonly overdue_timers: number
}

interface RetryRow {
  readonly consumer: Consumer
  readonly attempts: number
  readonly at: number
}

/** All but the sealed request, which nobody lists and which may be large. */
const LISTED_COLUMNS = `c.tenant_id, c.service_call_id, c.revision, c.status, c.name, c.request, NULL AS sealed, c.tags,
  c.timeout_ms, c.on_unknown, c.keep_request, c.cloned_from, c.correlation_id, c.accepted_at, c.due_at, c.submitted_at,
  c.scheduled_at, c.is_due, c.started_at, c.attempt, c.attempt_started_at, c.finished_at, c.lateness_ms, c.outcome`

export const layer = Layer.effect(
  ServiceCallReader,
  Effect.gen(function* () {
    const reader = yield* ReadConnection
    const get = reader.prepare<ServiceCallRow>(
      "SELECT * FROM service_calls WHERE tenant_id = ? AND service_call_id = ?"
    )
    const sealed = reader.prepare<{ readonly sealed: Uint8Array; readonly keep_request: 0 | 1 }>(
      `SELECT sealed, keep_request FROM service_calls
       WHERE tenant_id = ? AND service_call_id = ? AND sealed IS NOT NULL`
    )
    const waiting = reader.prepare<WaitingRow>(
      `SELECT
         (SELECT is_due FROM service_calls WHERE tenant_id = ?1 AND service_call_id = ?2) AS is_due,
         (SELECT count(*) FROM service_calls WHERE tenant_id = ?1 AND status = 'Running') AS running_of_tenant,
         (SELECT count(*) FROM service_calls WHERE status = 'Running') AS running_of_all,
         (SELECT count(*) FROM service_calls w JOIN service_calls c ON c.tenant_id = ?1 AND c.service_call_id = ?2
          WHERE w.tenant_id = ?1 AND w.is_due = 1 AND (w.due_at, w.accepted_at) < (c.due_at, c.accepted_at)) AS due_before,
         (SELECT min(attempt_started_at + timeout_ms) FROM service_calls WHERE tenant_id = ?1 AND status = 'Running')
           AS place_free_at_of_tenant,
         (SELECT min(attempt_started_at + timeout_ms) FROM service_calls WHERE status = 'Running')
           AS place_free_at_of_all,
         (SELECT count(*) FROM timer_schedules WHERE due_at <= ?3) AS overdue_timers`
    )
    const retry = reader.prepare<RetryRow>(
      `SELECT consumer, attempts, available_at AS at FROM deliveries
       WHERE consumer IN (${CONSUMERS.map((consumer) => `'${consumer}'`).join(", ")})
         AND tenant_id = ? AND service_call_id = ? AND attempts > 0 ORDER BY seq LIMIT 1`
    )
    const countStatuses = reader.prepare<{ readonly name: Status; readonly calls: number }>(
      "SELECT name, calls FROM service_call_counts WHERE tenant_id = ? AND kind = 'status' AND calls > 0"
    )
    const countTags = reader.prepare<{ readonly tag: string; readonly calls: number }>(
      `SELECT name AS tag, calls FROM service_call_counts WHERE tenant_id = ? AND kind = 'tag'
       ORDER BY name = '${STARRED}' DESC, calls DESC, name LIMIT ${COUNTED_TAGS_MAX}`
    )
    // One statement for each combination of filters in use, of which there are at most 144: all values are bound.
    const lists = new Map<string, Prepared<ServiceCallRow>>()

    return ServiceCallReader.of({
      get: (key) =>
        Effect.map(get.first(key.tenantId, key.serviceCallId), (row) =>
          row === undefined ? Option.none() : Option.some(toDetail(toServiceCall(row), row.sealed !== null))
        ),
      list: (tenantId, filter, page) =>
        Effect.suspend(() => {
          const { sql, bindings } = listQuery(tenantId, filter, page)
          const list = lists.get(sql) ?? reader.prepare<ServiceCallRow>(sql)
          lists.set(sql, list)
          return Effect.map(list.all(...bindings), (rows) => rows.map((row) => toSummary(toServiceCall(row))))
        }),
      sealed: (key) =>
        Effect.map(sealed.first(key.tenantId, key.serviceCallId), (row) =>
          row === undefined ? Option.none() : Option.some({ sealed: row.sealed, keepRequest: row.keep_request === 1 })
        ),
      waiting: Effect.fnUntraced(function* (key) {
        const now = yield* Clock.currentTimeMillis
        const row = yield* waiting.first(key.tenantId, key.serviceCallId, now)
        const retried = yield* retry.first(key.tenantId, key.serviceCallId)
        return {
          isDue: row?.is_due === 1,
          runningOfTenant: row?.running_of_tenant ?? 0,
          runningOfAll: row?.running_of_all ?? 0,
          dueBefore: row?.due_before ?? 0,
          placeFreeAtOfTenant: timeOrNull(row?.place_free_at_of_tenant),
          placeFreeAtOfAll: timeOrNull(row?.place_free_at_of_all),
          overdueTimers: row?.overdue_timers ?? 0,
          retry: retried === undefined ? null : { ...retried, at: fromMillis(retried.at) }
        }
      }),
      counts: Effect.fnUntraced(function* (tenantId) {
        const statuses = yield* countStatuses.all(tenantId)
        return {
          statuses: new Map(statuses.map(({ name, calls }) => [name, calls])),
          tags: yield* countTags.all(tenantId)
        }
      })
    })
  })
)

const timeOrNull = (millis: number | null | undefined): DateTime.Utc | null =>
  millis == null ? null : fromMillis(millis)

/**
 * The list as SQL: newest accepted first. One tag drives the query through the tags' own order, one status through the
 * index by status; several statuses are picked out of the order of acceptance, which needs no sort.
 */
export const listQuery = (
  tenantId: TenantId,
  filter: ServiceCallFilter,
  page: { readonly after?: Cursor; readonly limit: number }
): { readonly sql: string; readonly bindings: ReadonlyArray<SQLQueryBindings> } => {
  const [drivingTag, ...furtherTags] = new Set(filter.tags)
  const order = drivingTag === undefined ? "c" : "t"
  const conditions: Array<string> = []
  const bindings: Array<SQLQueryBindings> = []
  const where = (condition: string, ...values: ReadonlyArray<SQLQueryBindings>) => {
    conditions.push(condition)
    bindings.push(...values)
  }

  where(`${order}.tenant_id = ?`, tenantId)
  if (drivingTag !== undefined) where("t.tag = ?", drivingTag)
  if (page.after !== undefined) {
    const { acceptedAt, serviceCallId } = page.after
    where(`(${order}.accepted_at, ${order}.service_call_id) < (?, ?)`, toMillis(acceptedAt), serviceCallId)
  }
  if (filter.statuses.length === 1) where("c.status = ?", ...filter.statuses)
  else if (filter.statuses.length > 1) {
    where("+c.status IN (SELECT value FROM json_each(?))", JSON.stringify(filter.statuses))
  }
  if (filter.from !== undefined) where("c.due_at >= ?", toMillis(filter.from))
  if (filter.to !== undefined) where("c.due_at < ?", toMillis(filter.to))
  if (filter.text !== undefined && filter.text !== "") {
    where(
      "(instr(lower(c.name), lower(?)) > 0 OR instr(lower(c.request ->> 'url'), lower(?)) > 0)",
      filter.text,
      filter.text
    )
  }
  if (furtherTags.length > 0) {
    where(
      `(SELECT count(*) FROM json_each(?) w JOIN service_call_tags f ON f.tenant_id = c.tenant_id AND f.tag = w.value
          AND f.accepted_at = c.accepted_at AND f.service_call_id = c.service_call_id) = ?`,
      JSON.stringify(furtherTags),
      furtherTags.length
    )
  }
  const from =
    drivingTag === undefined
      ? "service_calls c"
      : `service_call_tags t JOIN service_calls c
           ON c.tenant_id = t.tenant_id AND c.service_call_id = t.service_call_id`
  const sql = `SELECT ${LISTED_COLUMNS} FROM ${from} WHERE ${conditions.join(" AND ")}
    ORDER BY ${order}.accepted_at DESC, ${order}.service_call_id DESC LIMIT ?`
  return { sql, bindings: [...bindings, page.limit] }
}

const toSummary = (call: ServiceCall): ServiceCallSummary => ({
  tenantId: call.tenantId,
  serviceCallId: call.serviceCallId,
  name: call.name,
  status: call._tag,
  request: call.request,
  tags: call.tags,
  acceptedAt: call.acceptedAt,
  dueAt: call.dueAt,
  finishedAt: endOf(call),
  latenessMs: "latenessMs" in call ? call.latenessMs : null,
  failure: call._tag === "Failed" ? failureOf(call) : null,
  correlationId: call.correlationId
})

const toDetail = (call: ServiceCall, requestKept: boolean): ServiceCallDetail => ({
  ...toSummary(call),
  timeoutMs: call.timeoutMs,
  onUnknown: call.onUnknown,
  clonedFrom: call.clonedFrom,
  requestKept,
  history: historyOf(call),
  attempt: "attempt" in call ? call.attempt : null,
  outcome: outcomeOf(call)
})

/** Every state a call has been in follows from its times: it only goes forward. */
const historyOf = (call: ServiceCall): ServiceCallDetail["history"] => {
  const steps: ReadonlyArray<readonly [Status, DateTime.Utc | null]> = [
    ["Submitted", call.submittedAt],
    ["Scheduled", "scheduledAt" in call ? call.scheduledAt : null],
    ["Running", "startedAt" in call ? call.startedAt : null],
    [call._tag, endOf(call)]
  ]
  return steps.flatMap(([status, at]) => (at === null ? [] : { status, at }))
}

const failureOf = ({ error: { kind, message, sent } }: Failed) => ({ kind, message, sent })

const endOf = (call: ServiceCall): DateTime.Utc | null => {
  if (call._tag === "Cancelled") return call.cancelledAt
  return "finishedAt" in call ? call.finishedAt : null
}

const outcomeOf = (call: ServiceCall): ServiceCallDetail["outcome"] => {
  switch (call._tag) {
    case "Succeeded":
      return { type: "Succeeded", response: call.response }
    case "Failed":
      return { type: "Failed", error: call.error }
    case "Cancelled":
      return { type: "Cancelled", reason: call.reason }
    default:
      return null
  }
}
