import { existsSync, mkdirSync, realpathSync } from "node:fs"
import { basename, dirname, join } from "node:path"
import { Context, Effect, Layer, Schema, type Scope } from "effect"
import { SqliteConnection } from "../bun/sqlite.ts"
import { APPLICATION_ID, migrate, readPragma } from "./migrations.ts"

/** The connection that the writer alone uses. */
export class WriteConnection extends Context.Service<WriteConnection, SqliteConnection>()(
  "@event-service-agent/adapters/WriteConnection"
) {}

/** A read-only connection: sees committed states and never holds up the writer. */
export class ReadConnection extends Context.Service<ReadConnection, SqliteConnection>()(
  "@event-service-agent/adapters/ReadConnection"
) {}

/** The database file cannot be used. The message says why and what to do. */
export class DatabaseUnusable extends Schema.TaggedError<DatabaseUnusable>()("DatabaseUnusable", {
  path: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `cannot use the database ${this.path}: ${this.reason}`
  }
}

const WAL_BYTES_MAX = 64 * 1024 * 1024
/** Larger files are not read through at the start, which would take seconds; damage shows when it is met. */
const CHECKED_BYTES_MAX = 256 * 1024 * 1024
const SQLITE_VERSION_MIN = "3.51.3"

/** Settings of the writing connection, with the answer that proves each. */
const PRAGMAS: ReadonlyArray<readonly [name: string, set: string, answer: number | string]> = [
  ["journal_mode", "WAL", "wal"],
  // FULL: a claim lost in a power cut would let the target be called twice.
  ["synchronous", "FULL", 2],
  ["foreign_keys", "ON", 1],
  ["busy_timeout", "250", 250],
  ["wal_autocheckpoint", "1000", 1000],
  ["journal_size_limit", String(WAL_BYTES_MAX), WAL_BYTES_MAX],
  ["trusted_schema", "OFF", 0],
  ["cell_size_check", "ON", 1]
]

/**
 * Opens the database for this process alone, creates or migrates it, and verifies its settings. Fails with
 * `DatabaseUnusable`, and changes nothing, when another process has it or the file is not ours.
 */
export const layer = (path: string) =>
  Layer.effectContext(
    Effect.gen(function* () {
      yield* attempt(path, () => mkdirSync(dirname(path), { recursive: true }))
      yield* lock(path)
      const writer = yield* open(path, "create")
      yield* attempt(path, () => prepareWriter(writer))
      const reader = yield* open(path, "readonly")
      yield* attempt(path, () => reader.database.run("PRAGMA busy_timeout = 250; PRAGMA trusted_schema = OFF"))
      return Context.make(WriteConnection, writer).pipe(Context.add(ReadConnection, reader))
    })
  )

const prepareWriter = (writer: SqliteConnection): void => {
  const { database } = writer
  const version = database.query<{ version: string }, []>("SELECT sqlite_version() AS version").get()?.version ?? "?"
  if (Bun.semver.order(version, SQLITE_VERSION_MIN) < 0) {
    throw new Error(`SQLite is ${version}, it has to be at least ${SQLITE_VERSION_MIN}`)
  }
  // Before anything is written: a file that is damaged must stay as it is.
  const bytes = Number(readPragma(database, "page_count")) * Number(readPragma(database, "page_size"))
  const check = bytes <= CHECKED_BYTES_MAX ? readPragma(database, "quick_check(1)") : "ok"
  if (check !== "ok") throw new Error(`it is damaged (${check}); restore a backup`)
  migrate(database)
  // SQLite opens a file that this user may not write, too, and says so only at the first write.
  database.run(`BEGIN IMMEDIATE; PRAGMA application_id = ${APPLICATION_ID}; ROLLBACK`)
  for (const [name, set, answer] of PRAGMAS) {
    database.run(`PRAGMA ${name} = ${set}`)
    const got = readPragma(database, name)
    if (got !== answer) throw new Error(`PRAGMA ${name} is ${got} and has to be ${answer}`)
  }
}

/**
 * A write that is never committed: on a file that this user may not write, `BEGIN EXCLUSIVE` alone succeeds without a
 * lock. Held until the process ends, however it ends: the kernel releases a file lock on SIGKILL, too.
 */
const lock = (path: string): Effect.Effect<SqliteConnection, DatabaseUnusable, Scope.Scope> =>
  Effect.flatMap(
    attempt(path, () => `${realPathOf(path)}.lock`),
    (lockPath) => open(lockPath, "create")
  ).pipe(
    Effect.tap((held) =>
      attempt(path, () => held.database.run("PRAGMA busy_timeout = 0; BEGIN EXCLUSIVE; PRAGMA user_version = 1"))
    ),
    Effect.mapError((error) =>
      error.reason.includes("locked")
        ? new DatabaseUnusable({ path, reason: "another process is using it; stop that one or set another DB_PATH" })
        : error
    )
  )

/** One lock for one file, under whatever names and links it is opened. */
const realPathOf = (path: string): string =>
  existsSync(path) ? realpathSync(path) : join(realpathSync(dirname(path)), basename(path))

const open = (path: string, mode: "create" | "readonly") =>
  Effect.acquireRelease(
    attempt(path, () => new SqliteConnection(path, mode)),
    (connection) => Effect.sync(() => connection.database.close())
  )

const attempt = <A>(path: string, f: () => A): Effect.Effect<A, DatabaseUnusable> =>
  Effect.try({
    try: f,
    catch: (cause) => new DatabaseUnusable({ path, reason: explain(cause) })
  })

const explain = (cause: unknown): string => {
  const message = cause instanceof Error ? cause.message : String(cause)
  if (message.includes("malformed")) return `it is damaged (${message}); restore a backup`
  if (message.includes("readonly")) return "this user may not write it; give it the rights, or set another DB_PATH"
  return message.includes("not a database") ? "it is no database; choose another DB_PATH" : message
}
