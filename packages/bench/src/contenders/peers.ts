import { existsSync } from "node:fs"
import { join } from "node:path"
import manifest from "../../package.json" with { type: "json" }
import type { Contender, Running } from "../contender.ts"
import { startBun } from "../processes.ts"
import { postgresFolder, redisServer, type Server, startPostgres, startRedis, versionOf } from "./servers.ts"
import { checkpointedBytes } from "./sqlite-files.ts"

const HOST = join(import.meta.dirname, "../peers/host.ts")

interface Library {
  readonly name: keyof typeof manifest.dependencies
  readonly settings: string
  readonly missingServer: string | undefined
  readonly server?: (folder: string) => Promise<Server>
  /** For one that has no server. */
  readonly bytesOnDisk?: (folder: string) => number
}

const redisVersion = versionOf(redisServer)
const postgresVersion = postgresFolder === undefined ? "" : versionOf(join(postgresFolder, "postgres"))

const contender = ({ name, settings, missingServer, server, bytesOnDisk }: Library): Contender => {
  const installed = existsSync(join(import.meta.dirname, "../../node_modules", name))
  return {
    name,
    settings: `${manifest.dependencies[name]}, library call, ${settings}`,
    missing: installed ? missingServer : "the package is not installed: run `bun install`",
    start: async ({ folder, targetUrl }) => {
      const database = await server?.(folder)
      const launchedAt = performance.now()
      const child = startBun([HOST, name, targetUrl, folder, database?.url ?? ""], { folder })
      try {
        const port = (await child.ready((line) => line.startsWith("listening "))).split(" ")[1]
        const bytes = database?.bytesOnDisk ?? (async () => bytesOnDisk?.(folder) ?? Number.NaN)
        return running(`http://127.0.0.1:${port}`, child, database, bytes, performance.now() - launchedAt)
      } catch (error) {
        await child.end()
        await database?.end()
        throw error
      }
    }
  }
}

const running = (
  url: string,
  child: ReturnType<typeof startBun>,
  database: Server | undefined,
  bytesOnDisk: Running["bytesOnDisk"],
  startedInMs: number
): Running => ({
  submit: async (calls, clients) =>
    // The timer of `fetch` would end a long submission.
    (await fetch(url, { method: "POST", body: JSON.stringify({ calls, clients }), timeout: false })).json(),
  finished: async () => (await fetch(url)).json(),
  pids: database === undefined ? [child.pid] : [child.pid, database.pid],
  startedInMs,
  bytesOnDisk,
  stop: async () => {
    await child.end()
    await database?.end()
  }
})

const noRedis = redisServer === null ? "redis-server is not on PATH" : undefined
const noPostgres = postgresFolder === undefined ? "PostgreSQL's initdb and postgres are not on PATH" : undefined

export const libraries: ReadonlyArray<Contender> = [
  contender({
    name: "bullmq",
    settings: `Redis ${redisVersion} with appendfsync always, concurrency 100`,
    missingServer: noRedis,
    server: startRedis
  }),
  contender({
    name: "pg-boss",
    settings: `PostgreSQL ${postgresVersion} with synchronous_commit on, 8 workers, batches of 500, polling every 0.5 s (its minimum)`,
    missingServer: noPostgres,
    server: startPostgres
  }),
  contender({
    name: "graphile-worker",
    settings: `PostgreSQL ${postgresVersion} with synchronous_commit on, 100 jobs at once, local queue of 500, batched completion, polling every 50 ms`,
    missingServer: noPostgres,
    server: startPostgres
  }),
  contender({
    name: "bunqueue",
    settings:
      "embedded, durable: true, long polls (its SQLite has synchronous=NORMAL: safe from crashes, not from power cuts)",
    missingServer: undefined,
    bytesOnDisk: (folder) => checkpointedBytes(join(folder, "bunqueue.db"))
  })
]
