import { join } from "node:path"
import type { Call, Contender } from "../contender.ts"
import { submissionBody, submitOverHttp } from "../http-load.ts"
import { startBun } from "../processes.ts"
import { checkpointedBytes, openCount } from "./sqlite-files.ts"

export const floor: Contender = {
  name: "floor",
  settings: "packages/bench/src/floor.ts: HTTP in, one process, SQLite WAL with synchronous=FULL, group commit, a heap",
  missing: undefined,
  start: async ({ folder, targetUrl }) => {
    const dbPath = join(folder, "floor.db")
    const launchedAt = performance.now()
    const child = startBun([join(import.meta.dirname, "../floor.ts")], { folder, env: { DB_PATH: dbPath } })
    const url = new URL(`http://127.0.0.1:${(await child.ready()).trim()}/calls`)
    const startedInMs = performance.now() - launchedAt
    const succeeded = openCount(
      dbPath,
      "SELECT count(*) AS calls FROM calls WHERE status = 'Succeeded' AND finished_at >= ?",
      Date.now()
    )
    return {
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
}

const submission = (call: Call, targetUrl: string) => ({
  path: "/calls",
  body: submissionBody(call, targetUrl)
})
