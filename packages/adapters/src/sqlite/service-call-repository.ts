import { isEnded, type ServiceCall } from "@event-service-agent/orchestration/domain/service-call"
import {
  type CountByTenant,
  RevisionConflict,
  ServiceCallRepository
} from "@event-service-agent/orchestration/ports/service-call-repository"
import type { TenantId } from "@event-service-agent/schemas/ids"
import { toMillis } from "@event-service-agent/schemas/time"
import { Effect, Layer, Option } from "effect"
import { WriteConnection } from "./database.ts"
import { insertRows } from "./rows.ts"
import { changingColumns, fixedColumns, type ServiceCallRow, toServiceCall } from "./service-call-rows.ts"

export const layer = Layer.effect(
  ServiceCallRepository,
  Effect.gen(function* () {
    const writer = yield* WriteConnection
    const find = writer.prepare<ServiceCallRow>(
      "SELECT * FROM service_calls WHERE tenant_id = ? AND service_call_id = ?"
    )
    const insert = writer.prepare(
      `INSERT INTO service_calls (tenant_id, service_call_id, name, request, timeout_ms, on_unknown, keep_request,
         correlation_id, accepted_at, due_at, submitted_at, revision, status, tags, scheduled_at, is_due, started_at,
         attempt, attempt_started_at, finished_at, lateness_ms, outcome, sealed)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`
    )
    const update = writer.prepare(
      `UPDATE service_calls SET revision = ?, status = ?, tags = ?, scheduled_at = ?, is_due = ?, started_at = ?,
         attempt = ?, attempt_started_at = ?, finished_at = ?, lateness_ms = ?, outcome = ?
       WHERE tenant_id = ? AND service_call_id = ? AND revision = ? AND status = ?`
    )
    const eraseSealed = writer.prepare(
      "UPDATE service_calls SET sealed = NULL WHERE tenant_id = ? AND service_call_id = ? AND sealed IS NOT NULL"
    )
    const oldestDue = writer.prepare<ServiceCallRow>(
      `SELECT * FROM service_calls WHERE tenant_id = ? AND is_due = 1
       ORDER BY due_at, accepted_at LIMIT 1`
    )
    const countRunning = writer.prepare<CountRow>(
      "SELECT tenant_id, count(*) AS calls FROM service_calls WHERE status = 'Running' GROUP BY tenant_id"
    )
    const countDue = writer.prepare<CountRow>(
      "SELECT tenant_id, count(*) AS calls FROM service_calls WHERE is_due = 1 GROUP BY tenant_id"
    )
    const insertTags = insertRows(
      writer,
      "INSERT INTO service_call_tags (tenant_id, tag, accepted_at, service_call_id) VALUES",
      4
    )
    const deleteTag = writer.prepare(
      "DELETE FROM service_call_tags WHERE tenant_id = ? AND tag = ? AND accepted_at = ? AND service_call_id = ?"
    )
    const tagRows = (call: ServiceCall) =>
      call.tags.map((tag) => [call.tenantId, tag, toMillis(call.acceptedAt), call.serviceCallId])

    return ServiceCallRepository.of({
      find: (key) =>
        Effect.map(find.first(key.tenantId, key.serviceCallId), (row) =>
          row === undefined ? Option.none() : Option.some(toServiceCall(row))
        ),
      insert: Effect.fnUntraced(function* (call, kept = null) {
        const sealed = "sealed" in call ? call.sealed : kept
        const { changes } = yield* insert.run(...fixedColumns(call), ...changingColumns(call), sealed)
        if (changes === 1) yield* insertTags(tagRows(call))
        return changes === 1
      }),
      update: Effect.fnUntraced(function* (before, after) {
        const { tenantId, serviceCallId, revision } = before
        const { changes } = yield* update.run(...changingColumns(after), tenantId, serviceCallId, revision, before._tag)
        if (changes !== 1) return yield* new RevisionConflict({ tenantId, serviceCallId, revision })
        if (isEnded(after) && !after.keepRequest) yield* eraseSealed.run(tenantId, serviceCallId)
        if (after.tags !== before.tags) {
          for (const row of tagRows(before)) yield* deleteTag.run(...row)
          yield* insertTags(tagRows(after))
        }
      }),
      oldestDue: (tenantId) =>
        Effect.map(oldestDue.first(tenantId), (row) => {
          const call = row === undefined ? undefined : toServiceCall(row)
          return call?._tag === "Scheduled" ? Option.some(call) : Option.none()
        }),
      countAllTenants: Effect.all({ running: countRunning.all(), due: countDue.all() }).pipe(
        Effect.map(({ running, due }) => ({ running: toCounts(running), due: toCounts(due) }))
      )
    })
  })
)

interface CountRow {
  readonly tenant_id: TenantId
  readonly calls: number
}

const toCounts = (rows: ReadonlyArray<CountRow>): CountByTenant =>
  new Map(rows.map((row) => [row.tenant_id, row.calls]))
