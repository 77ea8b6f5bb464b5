import type { CorrelationId, ServiceCallId, TenantId } from "@event-service-agent/schemas/ids"
import { fromMillis, toMillis } from "@event-service-agent/schemas/time"
import { type Timer, TimerStore } from "@event-service-agent/timer/ports/timer-store"
import { Effect, Layer, Option } from "effect"
import { WriteConnection } from "./database.ts"

interface TimerRow {
  readonly tenant_id: TenantId
  readonly service_call_id: ServiceCallId
  readonly due_at: number
  readonly version: number
  readonly correlation_id: CorrelationId
  readonly traceparent: string | null
}

export const layer = Layer.effect(
  TimerStore,
  Effect.gen(function* () {
    const writer = yield* WriteConnection
    const upsert = writer.prepare(
      `INSERT INTO timer_schedules (tenant_id, service_call_id, due_at, version, correlation_id, traceparent)
       VALUES (?, ?, ?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET due_at = excluded.due_at, version = excluded.version,
         correlation_id = excluded.correlation_id, traceparent = excluded.traceparent`
    )
    const remove = writer.prepare("DELETE FROM timer_schedules WHERE tenant_id = ? AND service_call_id = ?")
    const due = writer.prepare<TimerRow>(
      "SELECT * FROM timer_schedules WHERE due_at <= ? ORDER BY due_at, tenant_id, service_call_id LIMIT ?"
    )
    const nextTenant = writer.prepare<Pick<TimerRow, "tenant_id">>(
      "SELECT tenant_id FROM timer_schedules WHERE tenant_id > ? ORDER BY tenant_id LIMIT 1"
    )
    const dueOf = writer.prepare<TimerRow>(
      "SELECT * FROM timer_schedules WHERE tenant_id = ? AND due_at <= ? ORDER BY due_at, service_call_id LIMIT ?"
    )
    const earliest = writer.prepare<{ readonly due_at: number }>(
      "SELECT due_at FROM timer_schedules ORDER BY due_at LIMIT 1"
    )

    const take = Effect.fnUntracedEager(function* (rows: ReadonlyArray<TimerRow>) {
      for (const row of rows) yield* remove.run(row.tenant_id, row.service_call_id)
      return rows.map(toTimer)
    })

    return TimerStore.of({
      upsert: ({ key, dueAt, version, correlationId, traceparent = null }) =>
        Effect.mapEager(
          upsert.run(key.tenantId, key.serviceCallId, toMillis(dueAt), version, correlationId, traceparent),
          () => {}
        ),
      remove: (key) => Effect.mapEager(remove.run(key.tenantId, key.serviceCallId), () => {}),
      takeDueAcrossTenants: (now, limit) => Effect.flatMap(due.all(toMillis(now), limit), take),
      takeDueOfNextTenants: Effect.fnUntracedEager(function* (after, now, limits) {
        const timers: Array<Timer> = []
        let last = after
        for (let tenant = 0; tenant < limits.tenants; tenant++) {
          const next = yield* nextTenant.first(last ?? "")
          if (next === undefined) return { timers, last: null }
          last = next.tenant_id
          timers.push(...(yield* take(yield* dueOf.all(last, toMillis(now), limits.timers))))
        }
        return { timers, last }
      }),
      earliestAcrossTenants: Effect.mapEager(earliest.first(), (row) =>
        row === undefined ? Option.none() : Option.some(fromMillis(row.due_at))
      )
    })
  })
)

const toTimer = (row: TimerRow): Timer => ({
  key: { tenantId: row.tenant_id, serviceCallId: row.service_call_id },
  dueAt: fromMillis(row.due_at),
  version: row.version,
  correlationId: row.correlation_id,
  ...(row.traceparent === null ? {} : { traceparent: row.traceparent })
})
