import { isEnded, type Running, type ServiceCall } from "@event-service-agent/orchestration/domain/service-call"
import {
  type CountByTenant,
  RevisionConflict,
  ServiceCallRepository
} from "@event-service-agent/orchestration/ports/service-call-repository"
import { callName, type TenantId } from "@event-service-agent/schemas/ids"
import { toMillis } from "@event-service-agent/schemas/time"
import { Effect, Layer, Option } from "effect"
import { WriteConnection } from "./database.ts"
import { insertRows } from "./rows.ts"
import {
  changingColumns,
  fixedColumns,
  runningColumns,
  type ServiceCallRow,
  toServiceCall
} from "./service-call-rows.ts"

export const layer = Layer.effect(
  ServiceCallRepository,
  Effect.gen(function* () {
    const writer = yield* WriteConnection
    const find = writer.prepare<ServiceCallRow>(
      "SELECT * FROM service_calls WHERE tenant_id = ? AND service_call_id = ?"
    )
    const insert = writer.prepare(
      `INSERT INTO service_calls (tenant_id, service_call_id, name, request, timeout_ms, on_unknown, keep_request,
         cloned_from, correlation_id, accepted_at, due_at, submitted_at, revision, status, tags, scheduled_at, is_due, started_at,
         attempt, attempt_started_at, finished_at, lateness_ms, outcome, sealed)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`
    )
    const updateWith = (more: string) =>
      writer.prepare(
        `UPDATE service_calls SET revision = ?, status = ?, tags = ?, scheduled_at = ?, is_due = ?, started_at = ?,
           attempt = ?, attempt_started_at = ?, finished_at = ?, lateness_ms = ?, outcome = ?${more}
         WHERE tenant_id = ? AND service_call_id = ? AND revision = ? AND status = ?`
      )
    const update = updateWith("")
    const updateAndErase = updateWith(", sealed = NULL")
    // Without the columns of an index: SQLite would write the index again, although nothing in it changes.
    const updateRunning = writer.prepare(
      `UPDATE service_calls SET revision = ?, tags = ?, attempt = ?, attempt_started_at = ?
       WHERE tenant_id = ? AND service_call_id = ? AND revision = ? AND status = 'Running'`
    )
    const keepTraceparent = writer.prepare(
      "UPDATE service_calls SET traceparent = ? WHERE tenant_id = ? AND service_call_id = ?"
    )
    /** Only of calls that wait for their release, and only while spans are exported. */
    const keepTraceparentOf = (call: ServiceCall) => {
      if (call._tag !== "Scheduled" || call.traceparent === undefined) return Effect.void
      return Effect.asVoid(keepTraceparent.run(call.traceparent, call.tenantId, call.serviceCallId))
    }
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

    /**
     * The calls that run, as they were last written: each is asked for twice, and to read a row takes longer than to
     * write it. No other process writes, and what is rolled back is forgotten.
     */
    const running = new Map<string, Running>()
    let generation = writer.generation
    const recall = () => {
      if (generation !== writer.generation) running.clear()
      generation = writer.generation
      return running
    }
    const remember = (call: ServiceCall) => {
      if (call._tag === "Running") recall().set(callName(call), call)
      else recall().delete(callName(call))
    }

    const write = (before: ServiceCall, after: ServiceCall) => {
      const { tenantId, serviceCallId, revision } = before
      if (before._tag === "Running" && after._tag === "Running") {
        return updateRunning.run(...runningColumns(after), tenantId, serviceCallId, revision)
      }
      const statement = isEnded(after) && !after.keepRequest ? updateAndErase : update
      return statement.run(...changingColumns(after), tenantId, serviceCallId, revision, before._tag)
    }

    return ServiceCallRepository.of({
      find: (key) =>
        Effect.suspend(() => {
          const known = recall().get(callName(key))
          if (known !== undefined) return Effect.succeedSome(known)
          return Effect.mapEager(find.first(key.tenantId, key.serviceCallId), (row) =>
            row === undefined ? Option.none() : Option.some(toServiceCall(row))
          )
        }),
      insert: Effect.fnUntracedEager(function* (call, kept = null) {
        const sealed = "sealed" in call ? call.sealed : kept
        const { changes } = yield* insert.run(...fixedColumns(call), ...changingColumns(call), sealed)
        if (changes !== 1) return false
        yield* insertTags(tagRows(call))
        yield* keepTraceparentOf(call)
        remember(call)
        return true
      }),
      update: Effect.fnUntracedEager(function* (before, after) {
        const { changes } = yield* write(before, after)
        if (changes !== 1) {
          const { tenantId, serviceCallId, revision } = before
          return yield* new RevisionConflict({ tenantId, serviceCallId, revision })
        }
        if (after.tags !== before.tags) {
          for (const row of tagRows(before)) yield* deleteTag.run(...row)
          yield* insertTags(tagRows(after))
        }
        yield* keepTraceparentOf(after)
        remember(after)
      }),
      oldestDue: (tenantId) =>
        Effect.mapEager(oldestDue.first(tenantId), (row) => {
          const call = row === undefined ? undefined : toServiceCall(row)
          return call?._tag === "Scheduled" ? Option.some(call) : Option.none()
        }),
      countAllTenants: Effect.all({ running: countRunning.all(), due: countDue.all() }).pipe(
        Effect.mapEager(({ running, due }) => ({ running: toCounts(running), due: toCounts(due) }))
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
