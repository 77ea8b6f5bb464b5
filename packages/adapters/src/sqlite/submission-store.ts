import { type Submission, SubmissionStore } from "@event-service-agent/api/ports/submission-store"
import type { OnUnknown } from "@event-service-agent/schemas/http-request"
import type { CorrelationId, ServiceCallId, ServiceCallKey, TenantId } from "@event-service-agent/schemas/ids"
import { fromMillis, toMillis } from "@event-service-agent/schemas/time"
import { Effect, Layer, Option } from "effect"
import type { Prepared } from "../bun/sqlite.ts"
import { ReadConnection, WriteConnection } from "./database.ts"

interface SubmissionRow {
  readonly tenant_id: TenantId
  readonly service_call_id: ServiceCallId
  readonly fingerprint: string
  readonly accepted_at: number
  readonly due_at: number
  readonly name: string
  readonly request: string
  readonly tags: string
  readonly timeout_ms: number
  readonly on_unknown: OnUnknown
  readonly cloned_from: ServiceCallId | null
  readonly correlation_id: CorrelationId
}

const GET = "SELECT * FROM submissions WHERE tenant_id = ? AND service_call_id = ?"

export const layer = Layer.effect(
  SubmissionStore,
  Effect.gen(function* () {
    const writer = yield* WriteConnection
    const reader = yield* ReadConnection
    const insert = writer.prepare(
      `INSERT INTO submissions (tenant_id, service_call_id, fingerprint, accepted_at, due_at, name, request, tags,
         timeout_ms, on_unknown, cloned_from, correlation_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`
    )
    const newestOf = reader.prepare<SubmissionRow>(
      `SELECT s.* FROM json_each(?) id CROSS JOIN submissions s ON s.tenant_id = ? AND s.service_call_id = id.value
       WHERE ? IS NULL OR (s.accepted_at, s.service_call_id) < (?, ?)
       ORDER BY s.accepted_at DESC, s.service_call_id DESC LIMIT ?`
    )
    const getWritten = writer.prepare<SubmissionRow>(GET)
    const getCommitted = reader.prepare<SubmissionRow>(GET)
    const get = (get: Prepared<SubmissionRow>, key: ServiceCallKey) =>
      Effect.mapEager(get.first(key.tenantId, key.serviceCallId), (row) =>
        row === undefined ? Option.none() : Option.some(toSubmission(row))
      )

    return SubmissionStore.of({
      insert: Effect.fnUntracedEager(function* (submission) {
        const { changes } = yield* insert.run(
          submission.tenantId,
          submission.serviceCallId,
          submission.fingerprint,
          toMillis(submission.acceptedAt),
          toMillis(submission.dueAt),
          submission.name,
          JSON.stringify(submission.request),
          JSON.stringify(submission.tags),
          submission.timeoutMs,
          submission.onUnknown,
          submission.clonedFrom,
          submission.correlationId
        )
        return changes === 1 ? Option.none() : yield* get(getWritten, submission)
      }),
      earlier: (key) => get(getWritten, key),
      get: (key) => get(getCommitted, key),
      newestOf: (tenantId, ids, { after, limit }) => {
        const { acceptedAt, serviceCallId } = after ?? { acceptedAt: null, serviceCallId: null }
        const before = acceptedAt === null ? null : toMillis(acceptedAt)
        return Effect.mapEager(
          newestOf.all(JSON.stringify([...ids]), tenantId, before, before, serviceCallId, limit),
          (rows) => rows.map(toSubmission)
        )
      }
    })
  })
)

const toSubmission = (row: SubmissionRow): Submission => ({
  tenantId: row.tenant_id,
  serviceCallId: row.service_call_id,
  fingerprint: row.fingerprint,
  acceptedAt: fromMillis(row.accepted_at),
  dueAt: fromMillis(row.due_at),
  name: row.name,
  request: JSON.parse(row.request),
  tags: JSON.parse(row.tags),
  timeoutMs: row.timeout_ms,
  onUnknown: row.on_unknown,
  clonedFrom: row.cloned_from,
  correlationId: row.correlation_id
})
