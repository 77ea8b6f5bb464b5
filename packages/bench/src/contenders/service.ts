import { Database } from "bun:sqlite"
import { join } from "node:path"
import type { Call, Contender, Place, Running } from "../contender.ts"
import { submissionBody, submitOverHttp } from "../http-load.ts"
import { startBun } from "../processes.ts"
import { checkpointedBytes } from "./sqlite-files.ts"

const MAIN = join(import.meta.dirname, "../../../server/src/main.ts")
const TENANT = "bench"

/** Where the service keeps its file in the folder of a run. */
export const databaseIn = (folder: string): string => join(folder, "service.db")

/** The calls of the bench on the address of the service. */
export const CALLS_PATH = `/api/tenants/${TENANT}/service-calls`

export interface RunningService extends Running {
  readonly url: URL
}

/** @param bunFlags for Bun itself, such as those of its profiler */
export const startService = async (
  { folder, targetUrl }: Place,
  bunFlags: ReadonlyArray<string> = []
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
      LOG_FORMAT: "json"
    }
  })
  const ready = JSON.parse(await child.ready((line) => line.includes('"ready"')))
  const startedInMs = performance.now() - launchedAt
  const url = new URL(ready.annotations.url)
  const database = new Database(dbPath, { readonly: true })
  const succeeded = database.prepare<{ readonly calls: number }, [string, number]>(
    "SELECT count(*) AS calls FROM service_calls WHERE tenant_id = ? AND status = 'Succeeded' AND accepted_at >= ?"
  )
  const startedAt = Date.now()
  return {
    url,
    submit: (calls, clients) => submitOverHttp(url, calls, clients, (call) => submission(call, targetUrl), 202),
    finished: async () => succeeded.get(TENANT, startedAt)?.calls ?? 0,
    pids: [child.pid],
    startedInMs,
    bytesOnDisk: async () => checkpointedBytes(dbPath),
    stop: async () => {
      succeeded.finalize()
      database.close()
      await child.end()
    }
  }
}

export const service: Contender = {
  name: "event-service-agent",
  settings: "as `bun run start`: HTTP in, one process, SQLite WAL with synchronous=FULL",
  missing: undefined,
  start: (place) => startService(place)
}

const submission = (call: Call, targetUrl: string) => ({
  path: CALLS_PATH,
  body: submissionBody(call, targetUrl)
})
