import { Database } from "bun:sqlite"
import { databaseIn, service } from "../contenders/service.ts"
import { until } from "../processes.ts"
import { readTemplate, seedCopies } from "../seed.ts"
import { callsFrom, withScene } from "./measurement.ts"

const AT_REST_MS_MAX = 30_000

/**
 * Fills a folder with the file of a service that holds so many calls, each with every row that a real submission
 * writes: one is submitted, and its rows are copied.
 *
 * @param dueAt null for calls that have been performed, otherwise when the latest of them is due
 */
export const storeCalls = async (folder: string, count: number, dueAt: number | null): Promise<void> => {
  const place = await withScene(
    service,
    async ({ running }) => {
      await running.submit(
        callsFrom(0, 1, () => dueAt),
        1
      )
      await until("the first call is at rest", () => isAtRest(databaseIn(folder), dueAt === null), AT_REST_MS_MAX)
      return databaseIn(folder)
    },
    folder
  )
  await seedCopies(place, readTemplate(place), count - 1)
}

/** Whether the call has come to its state, and all that is said about it has been heard. */
const isAtRest = (dbPath: string, isPerformed: boolean): boolean => {
  using database = new Database(dbPath, { readonly: true })
  const { status, waiting } = database
    .query<{ status: string | null; waiting: number }, []>(
      "SELECT (SELECT status FROM service_calls) AS status, (SELECT count(*) FROM deliveries) AS waiting"
    )
    .get() ?? { status: null, waiting: 0 }
  return status === (isPerformed ? "Succeeded" : "Scheduled") && waiting === 0
}
