import type {
  Cancelled,
  Failed,
  Running,
  ServiceCall,
  Succeeded
} from "@event-service-agent/orchestration/domain/service-call"
import type { Status } from "@event-service-agent/orchestration/ports/service-call-reader"
import type { OnUnknown } from "@event-service-agent/schemas/http-request"
import type { CorrelationId, ServiceCallId, TenantId } from "@event-service-agent/schemas/ids"
import { fromMillis, timeOrNull, toMillis } from "@event-service-agent/schemas/time"
import type { DateTime } from "effect"

/** A row of `service_calls`. Times are milliseconds since 1970; request, tags and outcome are JSON. */
export interface ServiceCallRow {
  readonly tenant_id: TenantId
  readonly service_call_id: ServiceCallId
  readonly revision: number
  readonly status: Status
  readonly name: string
  readonly request: string
  readonly sealed: Uint8Array | null
  readonly tags: string
  readonly timeout_ms: number
  readonly on_unknown: OnUnknown
  readonly keep_request: 0 | 1
  readonly cloned_from: ServiceCallId | null
  readonly correlation_id: CorrelationId
  readonly accepted_at: number
  readonly due_at: number
  readonly submitted_at: number
  readonly scheduled_at: number | null
  readonly is_due: 0 | 1
  readonly started_at: number | null
  readonly attempt: number | null
  readonly attempt_started_at: number | null
  /** The end, whichever way; for a cancelled call the time of the cancellation. */
  readonly finished_at: number | null
  readonly lateness_ms: number | null
  /** The response of a succeeded call, the error of a failed one, the reason of a cancelled one. */
  readonly outcome: string | null
  readonly traceparent: string | null
}

/** The columns that transitions change, in the order of the update statement. */
export const changingColumns = (call: ServiceCall) => [
  call.revision,
  call._tag,
  JSON.stringify(call.tags),
  "scheduledAt" in call && call.scheduledAt !== null ? toMillis(call.scheduledAt) : null,
  call._tag === "Scheduled" && call.isDue ? 1 : 0,
  "startedAt" in call ? toMillis(call.startedAt) : null,
  "attempt" in call ? (call.attempt?.number ?? null) : null,
  "attempt" in call && call.attempt !== null ? toMillis(call.attempt.startedAt) : null,
  finishedAtOf(call),
  "latenessMs" in call ? call.latenessMs : null,
  outcomeOf(call)
]

/** Those of them that change while a call runs. */
export const runningColumns = (call: Running) => [
  call.revision,
  JSON.stringify(call.tags),
  call.attempt?.number ?? null,
  call.attempt === null ? null : toMillis(call.attempt.startedAt)
]

/** The columns that never change, in the order of the insert statement. */
export const fixedColumns = (call: ServiceCall) => [
  call.tenantId,
  call.serviceCallId,
  call.name,
  JSON.stringify(call.request),
  call.timeoutMs,
  call.onUnknown,
  call.keepRequest ? 1 : 0,
  call.clonedFrom,
  call.correlationId,
  toMillis(call.acceptedAt),
  toMillis(call.dueAt),
  toMillis(call.submittedAt)
]

export const toServiceCall = (row: ServiceCallRow): ServiceCall => {
  const details = {
    tenantId: row.tenant_id,
    serviceCallId: row.service_call_id,
    revision: row.revision,
    name: row.name,
    request: JSON.parse(row.request),
    tags: JSON.parse(row.tags),
    timeoutMs: row.timeout_ms,
    onUnknown: row.on_unknown,
    keepRequest: row.keep_request === 1,
    clonedFrom: row.cloned_from,
    acceptedAt: fromMillis(row.accepted_at),
    dueAt: fromMillis(row.due_at),
    correlationId: row.correlation_id,
    submittedAt: fromMillis(row.submitted_at)
  }
  const started = (): Omit<Running, "_tag"> => ({
    ...details,
    scheduledAt: required(row, "scheduled_at"),
    startedAt: required(row, "started_at"),
    attempt: row.attempt === null ? null : { number: row.attempt, startedAt: required(row, "attempt_started_at") }
  })
  switch (row.status) {
    case "Submitted":
      return { ...details, _tag: "Submitted", sealed: row.sealed }
    case "Scheduled":
      return {
        ...details,
        _tag: "Scheduled",
        scheduledAt: required(row, "scheduled_at"),
        isDue: row.is_due === 1,
        sealed: row.sealed,
        ...(row.traceparent === null ? {} : { traceparent: row.traceparent })
      }
    case "Running":
      return { ...started(), _tag: "Running" }
    case "Succeeded":
      return {
        ...started(),
        _tag: "Succeeded",
        finishedAt: required(row, "finished_at"),
        latenessMs: row.lateness_ms ?? 0,
        response: parseOutcome<Succeeded["response"]>(row)
      }
    case "Failed":
      return {
        ...started(),
        _tag: "Failed",
        finishedAt: required(row, "finished_at"),
        latenessMs: row.lateness_ms,
        error: parseOutcome<Failed["error"]>(row)
      }
    case "Cancelled":
      return {
        ...details,
        _tag: "Cancelled",
        scheduledAt: timeOrNull(row.scheduled_at),
        cancelledAt: required(row, "finished_at"),
        reason: parseOutcome<Cancelled["reason"]>(row)
      }
  }
}

const required = (
  row: ServiceCallRow,
  column: "scheduled_at" | "started_at" | "attempt_started_at" | "finished_at"
): DateTime.Utc => {
  const millis = row[column]
  if (millis === null) throw new Error(`${column} is missing on the ${row.status} call ${row.service_call_id}`)
  return fromMillis(millis)
}

const parseOutcome = <A>(row: ServiceCallRow): A => JSON.parse(row.outcome ?? "null")

const finishedAtOf = (call: ServiceCall): number | null => {
  if (call._tag === "Cancelled") return toMillis(call.cancelledAt)
  return "finishedAt" in call ? toMillis(call.finishedAt) : null
}

const outcomeOf = (call: ServiceCall): string | null => {
  switch (call._tag) {
    case "Succeeded":
      return JSON.stringify(call.response)
    case "Failed":
      return JSON.stringify(call.error)
    case "Cancelled":
      return JSON.stringify(call.reason)
    default:
      return null
  }
}
