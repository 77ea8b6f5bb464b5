import { callName, type ServiceCallId, type TenantId } from "@event-service-agent/schemas/ids"
import { Effect } from "effect"
import type { SqliteConnection } from "../bun/sqlite.ts"

/** Deliveries that are read in one unit. */
const DELIVERIES_PER_UNIT = 1_000

/** How far the deliveries of each consumer have been read: its highest seq. */
export type ReadUpTo = ReadonlyMap<string, number>

interface DeliveryRow {
  readonly seq: number
  readonly tenant_id: TenantId
  readonly service_call_id: ServiceCallId
}

/**
 * What consumers have yet to handle. There is no index by call, or by seq alone, which would be written for every
 * message; but the rows of each consumer lie in the order of their seq. Crosses tenants.
 */
export const makeUnhandled = (connection: SqliteConnection) => {
  const seqsIn = (table: "deliveries" | "dead_letters") => {
    const between = connection.prepare<{ readonly seq: number }>(
      `SELECT seq FROM ${table} WHERE consumer = ? AND seq BETWEEN ? AND ?`
    )
    return { consumers: consumersIn(connection, table), between }
  }
  const tables = [seqsIn("deliveries"), seqsIn("dead_letters")]
  const consumersOfDeliveries = consumersIn(connection, "deliveries")
  const deliveriesAfter = connection.prepare<DeliveryRow>(
    "SELECT seq, tenant_id, service_call_id FROM deliveries WHERE consumer = ? AND seq > ? ORDER BY seq LIMIT ?"
  )

  return {
    /** The messages from one seq to another that have a delivery or a dead letter. */
    seqsBetween: Effect.fnUntraced(function* (first: number, last: number) {
      const found = new Set<number>()
      for (const { consumers, between } of tables) {
        for (const { consumer } of yield* consumers.all()) {
          for (const { seq } of yield* between.all(consumer, first, last)) found.add(seq)
        }
      }
      return found
    }),
    /**
     * Reads on in the deliveries: the names of their calls. Once it has caught up, the unit that asks knows of every
     * delivery, except for those that were dead letters meanwhile.
     */
    callsAfter: Effect.fnUntraced(function* (readUpTo: ReadUpTo) {
      const calls: Array<string> = []
      const next = new Map(readUpTo)
      let left = DELIVERIES_PER_UNIT
      for (const { consumer } of yield* consumersOfDeliveries.all()) {
        const rows = yield* deliveriesAfter.all(consumer, next.get(consumer) ?? 0, left)
        for (const row of rows) calls.push(callOfRow(row))
        const last = rows.at(-1)
        if (last !== undefined) next.set(consumer, last.seq)
        left -= rows.length
      }
      return { calls, readUpTo: next, hasCaughtUp: left > 0 }
    })
  }
}

export const callOfRow = (row: Pick<DeliveryRow, "tenant_id" | "service_call_id">): string =>
  callName({ tenantId: row.tenant_id, serviceCallId: row.service_call_id })

/** One look-up for each, instead of a walk through the table. */
const consumersIn = (connection: SqliteConnection, table: string) =>
  connection.prepare<{ readonly consumer: string }>(
    `WITH RECURSIVE found (consumer) AS (
       SELECT min(consumer) FROM ${table} UNION ALL
       SELECT (SELECT min(consumer) FROM ${table} WHERE consumer > found.consumer) FROM found WHERE consumer IS NOT NULL
     ) SELECT consumer FROM found WHERE consumer IS NOT NULL`
  )
