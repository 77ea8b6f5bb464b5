import { chownSync, existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { RedisClient, SQL } from "bun"
import { type Child, freePort, start, until } from "../processes.ts"
import { bytesBelow } from "./sqlite-files.ts"

/** A database server that a peer works on. */
export interface Server {
  readonly url: string
  readonly pid: number
  /** What its data take on disk, once logs that only repeat them are merged. */
  readonly bytesOnDisk: () => Promise<number>
  readonly end: () => Promise<void>
}

/** Each commit is on disk before it is acknowledged. Snapshots would only take time. */
const REDIS_SETTINGS = [
  "--appendonly",
  "yes",
  "--appendfsync",
  "always",
  "--save",
  "",
  "--maxmemory-policy",
  "noeviction"
]

const POSTGRES_SETTINGS = {
  synchronous_commit: "on",
  fsync: "on",
  shared_buffers: "256MB",
  max_connections: "100",
  max_wal_size: "4GB"
}

export const redisServer = Bun.which("redis-server")

export const startRedis = async (folder: string): Promise<Server> => {
  const port = freePort()
  const place = ["--port", String(port), "--bind", "127.0.0.1", "--dir", folder, "--daemonize", "no"]
  const child = start([redisServer ?? "redis-server", ...place, ...REDIS_SETTINGS], { folder })
  await child.ready((line) => line.includes("Ready to accept connections"))
  const url = `redis://127.0.0.1:${port}`
  return { url, pid: child.pid, bytesOnDisk: () => rewrittenBytes(url, folder), end: child.end }
}

/** The folder of PostgreSQL's programs: that of PATH, or where Debian has the newest. */
export const postgresFolder: string | undefined = (() => {
  const onPath = Bun.which("initdb")
  if (onPath !== null && Bun.which("postgres") !== null) return join(onPath, "..")
  const debian = "/usr/lib/postgresql"
  const versions = existsSync(debian) ? readdirSync(debian).sort((a, b) => Number(b) - Number(a)) : []
  return versions.map((version) => join(debian, version, "bin")).find((bin) => existsSync(join(bin, "initdb")))
})()

export const startPostgres = async (folder: string): Promise<Server> => {
  const bin = postgresFolder ?? ""
  const data = join(folder, "postgres")
  const asUser = unprivileged(folder)
  if (!existsSync(data)) {
    const initdb = [join(bin, "initdb"), "-D", data, "-U", "bench", "-A", "trust", "-E", "UTF8", "--no-locale", "-N"]
    await start([...asUser, ...initdb], { folder }).succeeded()
  }
  const port = freePort()
  const settings = { ...POSTGRES_SETTINGS, listen_addresses: "127.0.0.1", unix_socket_directories: "", port }
  const flags = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`])
  // A fast shutdown does not wait for those who are still connected; an immediate one leaves no children behind.
  const child: Child = start([...asUser, join(bin, "postgres"), "-D", data, ...flags], {
    folder,
    endsOn: "SIGINT",
    diesOn: "SIGQUIT"
  })
  await child.ready((line) => line.includes("ready to accept connections"))
  const url = `postgres://bench@127.0.0.1:${port}/postgres`
  return { url, pid: child.pid, bytesOnDisk: () => databaseBytes(url), end: child.end }
}

const REWRITE_MS_MAX = 60_000

/** Its log holds every command until it is written anew with what is left of them. */
const rewrittenBytes = async (url: string, folder: string): Promise<number> => {
  const client = new RedisClient(url)
  await client.send("BGREWRITEAOF", [])
  const isDone = async () =>
    !/aof_rewrite_(in_progress|scheduled):1/.test(String(await client.send("INFO", ["persistence"])))
  await until("the log is rewritten", isDone, REWRITE_MS_MAX)
  client.close()
  return bytesBelow(folder)
}

/** Without the write-ahead log, whose files are used again. */
const databaseBytes = async (url: string): Promise<number> => {
  const sql = new SQL(url, { max: 1 })
  await sql`CHECKPOINT`
  const [row] = await sql`SELECT pg_database_size(current_database())::int AS bytes`
  await sql.close()
  return row.bytes
}

/** As the program names it, without the rest of what it says about itself; empty when there is none. */
export const versionOf = (program: string | null | undefined): string => {
  if (program === null || program === undefined) return ""
  return /\d+\.\d+(\.\d+)?/.exec(Bun.spawnSync([program, "--version"]).stdout.toString())?.[0] ?? ""
}

/** PostgreSQL refuses to run as root. */
const unprivileged = (folder: string): ReadonlyArray<string> => {
  if (process.getuid?.() !== 0) return []
  const users = new Map(
    readFileSync("/etc/passwd", "utf8")
      .split("\n")
      .map((line) => line.split(":"))
      .map(([name = "", , uid, gid]) => [name, { uid: Number(uid), gid: Number(gid) }])
  )
  const user = users.get("postgres") ?? users.get("nobody")
  if (user === undefined) throw new Error("there is no user postgres or nobody to run PostgreSQL as")
  chownSync(folder, user.uid, user.gid)
  return ["setpriv", `--reuid=${user.uid}`, `--regid=${user.gid}`, "--clear-groups", "--"]
}
