import type { Failed, ServiceCall } from "@event-service-agent/orchestration/domain/service-call"
import {
  COUNTED_OVERDUE_MAX,
  COUNTED_TAGS_MAX,
  OVERDUE_MS,
  type ServiceCallDetail,
  ServiceCallReader,
  type ServiceCallSummary,
  type Status
} from "@event-service-agent/orchestration/ports/service-call-reader"
import { CONSUMERS, type Consumer } from "@event-service-agent/schemas/envelope"
import { STARRED } from "@event-service-agent/schemas/tags"
import { fromMillis, timeOrNull } from "@event-service-agent/schemas/time"
import { Clock, type DateTime, Effect, Layer, Option } from "effect"
import { ReadConnection } from "./database.ts"
import { LOOK_MAX, makeListRows, SEARCH_MS_MAX } from "./service-call-list.ts"
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

/** For tests: with another `LOOK_MAX` and `SEARCH_MS_MAX`. */
export const layerLooking = (lookMax: number, searchMsMax = SEARCH_MS_MAX) =>
  Layer.effect(
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
      // What has just come may have been due for minutes.
      const countOverdue = reader.prepare<{ readonly calls: number }>(
        `SELECT count(*) AS calls FROM (
         SELECT 1 FROM service_calls WHERE tenant_id = ?1 AND is_due = 1 AND due_at < ?2 AND accepted_at < ?2
         UNION ALL SELECT 1 FROM timer_schedules WHERE tenant_id = ?1 AND due_at < ?2
         LIMIT ${COUNTED_OVERDUE_MAX})`
      )
      const listRows = yield* makeListRows(lookMax, searchMsMax)

      return ServiceCallReader.of({
        get: (key) =>
          Effect.map(get.first(key.tenantId, key.serviceCallId), (row) =>
            row === undefined ? Option.none() : Option.some(toDetail(toServiceCall(row), row.sealed !== null))
          ),
        list: (tenantId, filter, page) =>
          Effect.map(listRows(tenantId, filter, page), (rows) => rows.map((row) => toSummary(toServiceCall(row)))),
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
          const now = yield* Clock.currentTimeMillis
          const statuses = yield* countStatuses.all(tenantId)
          return {
            statuses: new Map(statuses.map(({ name, calls }) => [name, calls])),
            tags: yield* countTags.all(tenantId),
            overdue: (yield* countOverdue.first(tenantId, now - OVERDUE_MS))?.calls ?? 0
          }
        })
      })
    })
  )

export const layer = layerLooking(LOOK_MAX)

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
