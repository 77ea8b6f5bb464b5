import type { SQLQueryBindings } from "bun:sqlite"
import { callsOf, type Detail, detailOf, listAll, type Summary, sideBySide } from "../client.ts"
import type { Service } from "../process.ts"
import { damageOf, rowCounts, stored } from "../stored.ts"
import { until } from "../until.ts"
import { TENANTS } from "./plan.ts"
import type { Observed, StoredMessage } from "./violations.ts"

const READERS = 16
const POLL_MS = 20

type OfTheService = Pick<
  Observed,
  "listed" | "details" | "submissions" | "messages" | "leftovers" | "damage" | "exitCode"
>

/** Waits until no call is open, and does not fail when there still is one at the deadline: the checks will say so. */
export const untilAllEnded = async (service: Service, deadlineMs: number): Promise<void> => {
  const endsAt = performance.now() + deadlineMs
  // Calls only go forward through these.
  for (const status of ["Submitted", "Scheduled", "Running"]) {
    for (const tenant of TENANTS) {
      const isEmpty = async () => {
        const page = await (await service.fetch(`${callsOf(tenant)}?limit=1&status=${status}`)).json()
        if (page.items.length > 0) await Bun.sleep(POLL_MS)
        return page.items.length === 0
      }
      await until("all have ended", isEmpty, endsAt - performance.now()).catch(() => {})
    }
  }
}

/** Messages that wait for a module, and calls that wait for a place. */
export const backlogOf = (dbPath: string): number => {
  const waiting = "(SELECT count(*) FROM deliveries) + (SELECT count(*) FROM service_calls WHERE is_due = 1)"
  return stored<{ readonly count: number }>(dbPath, `SELECT ${waiting} AS count`)[0]?.count ?? 0
}

/** Looks at the service from outside, stops it, and looks into its database. */
export const observe = async (service: Service): Promise<OfTheService> => {
  const listed: Array<Summary> = []
  for (const tenant of TENANTS) listed.push(...(await listAll(service, tenant)))
  const details: Array<Detail> = []
  await sideBySide(listed, READERS, async ({ tenantId, serviceCallId }) => {
    details.push(await detailOf(service, tenantId, serviceCallId))
  })
  const { exitCode } = await service.kill("SIGTERM")

  const read = <Row>(sql: string, ...bindings: ReadonlyArray<SQLQueryBindings>) =>
    stored<Row>(service.dbPath, sql, ...bindings)
  const count = (from: string): number => read<{ rows: number }>(`SELECT count(*) AS rows FROM ${from}`)[0]?.rows ?? -1
  const { deliveries = -1, dead_letters = -1, timer_schedules = -1 } = rowCounts(service.dbPath)
  return {
    listed,
    details,
    submissions: read("SELECT tenant_id, service_call_id FROM submissions"),
    messages: read<StoredMessage>("SELECT service_call_id, type, version, timestamp FROM outbox ORDER BY seq"),
    leftovers: {
      deliveries,
      "dead letters": dead_letters,
      timers: timer_schedules,
      "open attempts": count("execution_attempts WHERE outcome IS NULL"),
      "sealed requests of attempts": count("execution_attempts WHERE sealed_for_resend IS NOT NULL"),
      "sealed requests of calls": count("service_calls WHERE sealed IS NOT NULL"),
      "sealed requests of messages": count("outbox WHERE sealed IS NOT NULL")
    },
    damage: damageOf(service.dbPath),
    exitCode
  }
}
