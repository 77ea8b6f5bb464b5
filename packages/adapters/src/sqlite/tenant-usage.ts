import { TenantUsage } from "@event-service-agent/api/ports/tenant-usage"
import { Effect, Layer } from "effect"
import { WriteConnection } from "./database.ts"

interface SumRow {
  readonly sum: number | null
}

/** What the database counts itself, and the submissions that wait for orchestration, few as long as a broker is up. */
export const layer = Layer.effect(
  TenantUsage,
  Effect.gen(function* () {
    const writer = yield* WriteConnection
    // One statement for all of them takes twice as long.
    const pending = writer.prepare<SumRow>(
      `SELECT sum(calls) AS sum FROM service_call_counts
       WHERE tenant_id = ? AND kind = 'status' AND name IN ('Submitted', 'Scheduled', 'Running')`
    )
    // Within one process there is hardly ever one, and to find that out takes a tenth of the time.
    const anyDelivery = writer.prepare<SumRow>(
      "SELECT 1 AS sum FROM deliveries WHERE consumer = 'orchestration' AND tenant_id = ? LIMIT 1"
    )
    const waiting = writer.prepare<SumRow>(
      `SELECT count(*) AS sum FROM deliveries d CROSS JOIN outbox o ON o.seq = d.seq
       WHERE d.consumer = 'orchestration' AND d.tenant_id = ? AND o.type = 'SubmitServiceCall'`
    )
    const stuck = writer.prepare<SumRow>(
      `SELECT count(*) AS sum FROM dead_letters
       WHERE consumer = 'orchestration' AND tenant_id = ? AND type = 'SubmitServiceCall'`
    )
    const bytes = writer.prepare<SumRow>("SELECT bytes AS sum FROM stored_bytes WHERE tenant_id = ?")

    return TenantUsage.of({
      of: Effect.fnUntracedEager(function* (tenantId) {
        const isAnyWaiting = (yield* anyDelivery.first(tenantId)) !== undefined
        let pendingCalls = 0
        for (const calls of isAnyWaiting ? [pending, stuck, waiting] : [pending, stuck])
          pendingCalls += (yield* calls.first(tenantId))?.sum ?? 0
        return { pendingCalls, storedBytes: (yield* bytes.first(tenantId))?.sum ?? 0 }
      })
    })
  })
)
