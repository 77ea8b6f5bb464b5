import { Database } from "bun:sqlite"
import type { Service } from "../process.ts"
import { storeUnhandled, type Unhandled } from "../unhandled.ts"

/**
 * Makes dead letters of messages that were handled, at most `count` for each tenant: handled again, they change
 * nothing. Stops the service for that, and starts it again.
 */
export const plantDeadLetters = async (service: Service, count: number): Promise<ReadonlyArray<Unhandled>> => {
  await service.kill("SIGTERM")
  using database = new Database(service.dbPath)
  const letters = storeUnhandled(database, {
    where: `(s.tenant_id, s.service_call_id) IN (
      SELECT tenant_id, service_call_id FROM (
        SELECT *, row_number() OVER (PARTITION BY tenant_id ORDER BY accepted_at DESC) AS place FROM submissions
      ) WHERE place <= ?)`,
    bindings: [count],
    error: "'Error: poison of ' || s.tenant_id"
  })
  database.close()
  await service.restart()
  return letters
}
