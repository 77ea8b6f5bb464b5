import { Database } from "bun:sqlite"
import { join } from "node:path"
import type { Call, Contender, Place, Running } from "../contender.ts"
import { submissionBody, submitOverHttp } from "../http-load.ts"
import { startBun, until } from "../processes.ts"
import { checkpointedBytes, openCount } from "./sqlite-files.ts"

const MAIN = join(import.meta.dirname, "../../../server/src/main.ts")
const TENANT = "bench"

const PRUNING_MS_MAX = 180_000
const PRUNING_POLL_MS = 50

/** Where the service keeps its file in the folder of a run. */
export const databaseIn = (folder: string): string => join(folder, "service.db")

/** The calls of the bench on the address of the service. */
export const CALLS_PATH = `/api/tenants/${TENANT}/service-calls`

export interface RunningService extends Running {
  readonly url: URL
}

/**
 * @param bunFlags for Bun itself, such as those of its profiler
 * @param settings beside those of every run
 */
export const startService = async (
  { folder, targetUrl }: Place,
  bunFlags: ReadonlyArray<string> = [],
  settings: Readonly<Record<string, string>> = {}
): Promise<RunningService> => {
  const dbPath = databaseIn(folder)
  const launchedAt = performance.now()
  const child = startBun([...bunFlags, MAIN], {
    folder,
    env: {
      DB_PATH: dbPath,
      PORT: "0",
      ECHO_PORT: "off",
      EGRESS_ALLOW: new URL(targetUrl).host,
      LOG_FORMAT: "json",
      ...settings
    }
  })
  const ready = JSON.parse(await child.ready((line) => line.includes('"ready"')))
  const startedInMs = performance.now() - launchedAt
  const url = new URL(ready.annotations.url)
  const succeeded = openCount(
    dbPath,
    "SELECT count(*) AS calls FROM service_calls WHERE tenant_id = ? AND status = 'Succeeded' AND accepted_at >= ?",
    TENANT,
    Date.now()
  )
  return {
    url,
    submit: (calls, clients) => submitOverHttp(url, calls, clients, (call) => submission(call, targetUrl), 202),
    finished: async () => succeeded.calls(),
    pids: [child.pid],
    startedInMs,
    bytesOnDisk: async () => checkpointedBytes(dbPath),
    stop: async () => {
      succeeded.close()
      await child.end()
    }
  }
}

/** Starts the service on a folder so that everything is old, and says how many bytes of its file are in use then. */
export const bytesAfterRetention = async (folder: string): Promise<number> => {
  const running = await startService({ folder, targetUrl: "http://127.0.0.1:1" }, [], {
    RETENTION_FINISHED: "1s",
    RETENTION_EVENTS: "1s"
  })
  try {
    using database = new Database(databaseIn(folder), { readonly: true })
    using rows = database.prepare<{ readonly calls: number; readonly messages: number }, []>(
      "SELECT (SELECT count(*) FROM service_calls) AS calls, (SELECT count(*) FROM outbox) AS messages"
    )
    const isPruned = () => {
      const { calls, messages } = rows.get() ?? { calls: 0, messages: 0 }
      return calls + messages === 0
    }
    await until("everything is pruned", isPruned, PRUNING_MS_MAX, PRUNING_POLL_MS)
    using pages = database.prepare<{ readonly bytes: number }, []>(
      `SELECT (page_count - freelist_count) * page_size AS bytes
       FROM pragma_page_count, pragma_freelist_count, pragma_page_size`
    )
    return pages.get()?.bytes ?? Number.NaN
  } finally {
    await running.stop()
  }
}

export const service: Contender = {
  name: "event-service-agent",
  settings: "as `bun run start`: HTTP in, one process, SQLite WAL, each commit synced before it is told",
  missing: undefined,
  start: (place) => startService(place)
}

const submission = (call: Call, targetUrl: string) => ({
  path: CALLS_PATH,
  body: submissionBody(call, targetUrl)
})
