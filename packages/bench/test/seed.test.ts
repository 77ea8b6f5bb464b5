import { Database } from "bun:sqlite"
import { afterAll, expect, it } from "vitest"
import { CALLS_PATH, databaseIn, startService } from "../src/contenders/service.ts"
import { startTarget } from "../src/counting-target.ts"
import { cleanUp, temporaryFolder } from "../src/processes.ts"
import { readTemplate } from "../src/seed.ts"
import { performNow } from "../src/workloads/measurement.ts"
import { storeCalls } from "../src/workloads/stored-calls.ts"

const COUNT = 50
const FAR_MS = 86_400_000

const rowsOf = (dbPath: string): Record<string, number> => {
  using database = new Database(dbPath, { readonly: true })
  const tables = ["service_calls", "submissions", "timer_schedules", "outbox", "deliveries", "execution_attempts"]
  const counts = tables.map((table) => `SELECT '${table}' AS name, count(*) AS rows FROM ${table}`).join(" UNION ALL ")
  const rows = database.query<{ name: string; rows: number }, []>(counts).all()
  return Object.fromEntries(rows.map(({ name, rows: count }) => [name, count]))
}

afterAll(cleanUp)

it("stored calls are what a service has that got each of them by a submission", { timeout: 60_000 }, async () => {
  const folder = temporaryFolder()
  await storeCalls(folder.path, COUNT, Date.now() + FAR_MS)
  const rows = rowsOf(databaseIn(folder.path))
  expect(rows).toMatchObject({ service_calls: COUNT, submissions: COUNT, timer_schedules: COUNT, deliveries: 0 })
  expect((rows["outbox"] ?? 0) % COUNT).toBe(0)
  expect(() => readTemplate(databaseIn(folder.path))).toThrow("one call was expected")

  const target = await startTarget()
  const running = await startService({ folder: folder.path, targetUrl: target.url })
  try {
    const { items } = await (await fetch(new URL(`${CALLS_PATH}?limit=100`, running.url))).json()
    expect(new Set(items.map((item: { serviceCallId: string }) => item.serviceCallId)).size).toBe(COUNT)
    const detail = await fetch(new URL(`${CALLS_PATH}/${items.at(-1).serviceCallId}`, running.url))
    expect(await detail.json()).toMatchObject({ status: "Scheduled", name: "call 0" })
    // It works on beside them, and sends none of them.
    await performNow({ running, target }, 0, 20, 4)
    expect((await target.arrivals([])).repeated).toBe(0)
    expect(rowsOf(databaseIn(folder.path))).toMatchObject({ service_calls: COUNT + 20, timer_schedules: COUNT })
  } finally {
    await running.stop()
    await target.end()
    folder.remove()
  }
})
