import { Database } from "bun:sqlite"
import type { Service } from "../process.ts"

export interface PlantedLetter {
  readonly consumer: string
  readonly seq: number
  readonly tenant_id: string
  readonly service_call_id: string
}

/** Says what no tenant but its own may read. */
export const errorOf = (tenant: string): string => `Error: poison of ${tenant}`

/**
 * Makes dead letters of messages that were handled, at most `count` for each tenant: handled again, they change
 * nothing. Stops the service for that, and starts it again.
 */
export const plantDeadLetters = async (service: Service, count: number): Promise<ReadonlyArray<PlantedLetter>> => {
  await service.kill("SIGTERM")
  const letters = plant(service.dbPath, count)
  await service.restart()
  return letters
}

const plant = (dbPath: string, count: number): ReadonlyArray<PlantedLetter> => {
  using database = new Database(dbPath)
  return database
    .query<PlantedLetter, [number]>(
      `INSERT INTO dead_letters (consumer, seq, tenant_id, service_call_id, type, attempts, error, died_at)
       SELECT CASE type WHEN 'ScheduleTimer' THEN 'timer' ELSE 'orchestration' END, seq, tenant_id, service_call_id, type,
         10, 'Error: poison of ' || tenant_id, timestamp
       FROM (
         SELECT *, row_number() OVER (PARTITION BY tenant_id ORDER BY seq DESC) AS place FROM outbox
         WHERE type IN ('SubmitServiceCall', 'ScheduleTimer')
       ) WHERE place <= ?
       RETURNING consumer, seq, tenant_id, service_call_id`
    )
    .all(count)
}
