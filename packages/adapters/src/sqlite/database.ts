import { Database, constants as sqlite } from "bun:sqlite"
import { accessSync, constants, existsSync } from "node:fs"
import { dirname } from "node:path"
import { pathToFileURL } from "node:url"
import { Context, Effect, Layer, Schema } from "effect"
import { SqliteConnection } from "../bun/sqlite.ts"
import {
  isUnfinished,
  lockPathOf,
  makeFolder,
  NO_DATABASE,
  realPathOf,
  refuseForeign,
  refuseLost,
  refusePlace,
  sizeOf
} from "./database-files.ts"
import { APPLICATION_ID, migrate, readPragma } from "./migrations.ts"
import { CHECKED_BYTES_MAX } from "./wal-file.ts"

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
    const setting = this.reason.includes("DB_PATH") ? "" : " (DB_PATH)"
    return `cannot use the database ${this.path}${setting}: ${this.reason}`
  }
}

const WAL_BYTES_MAX = 64 * 1024 * 1024
const SQLITE_VERSION_MIN = "3.51.3"

/** Settings of the writing connection, with the answer that proves each. */
const PRAGMAS: ReadonlyArray<readonly [name: string, set: string, answer: number | string]> = [
  ["journal_mode", "WAL", "wal"],
  // The writer syncs each commit itself before it tells anybody: a claim lost in a power cut would let the target be
  // called twice.
  ["synchronous", "NORMAL", 1],
  ["foreign_keys", "ON", 1],
  ["busy_timeout", "250", 250],
  ["wal_autocheckpoint", "1000", 1000],
  ["journal_size_limit", String(WAL_BYTES_MAX), WAL_BYTES_MAX],
  ["trusted_schema", "OFF", 0],
  ["cell_size_check", "ON", 1],
  // Zeros over what is erased. FAST leaves the pages of long sealed requests; ON costs about 15 % at 20 KB, 0 at 1 KB.
  ["secure_delete", "ON", 1],
  // No copies of pages in temporary files, where nobody would erase them.
  ["temp_store", "MEMORY", 2]
]

/**
 * Opens the database for this process alone, creates or migrates it, and verifies its settings. Fails with
 * `DatabaseUnusable`, and changes nothing, when another process has it, when it is not ours, newer or damaged, and
 * when it is gone although there was one.
 */
export const layer = (path: string) =>
  Layer.effectContext(
    Effect.gen(function* () {
      const trying = <A>(f: () => A) => attempt(path, f)
      const file = yield* trying(() => {
        makeFolder(dirname(path))
        const real = realPathOf(path)
        // Beside a file of others, no lock of ours comes to be.
        if (!existsSync(lockPathOf(real))) refuseForeign(real)
        return real
      })
      const lock = yield* takeLock(path, file)
      const isMarked = readPragma(lock, "application_id") === APPLICATION_ID
      const isNew = yield* trying(() => {
        if (isUnfinished(file, isMarked)) return true
        refuseForeign(file)
        refuseLost(file, isMarked)
        return sizeOf(file) === 0
      })
      const guard = isNew ? undefined : yield* closing(trying(() => openGuard(file)))
      yield* trying(() => checkForDamage(guard))
      const writer = yield* open(path, file, "create")
      yield* trying(() => prepareWriter(writer))
      // Only now, so that a start that is cut off before is taken for a first one again.
      if (!isMarked) yield* trying(() => lock.run(`PRAGMA application_id = ${APPLICATION_ID}; COMMIT`))
      guard?.close()
      const reader = yield* open(path, file, "readonly")
      yield* trying(() => reader.database.run("PRAGMA busy_timeout = 250; PRAGMA trusted_schema = OFF"))
      return Context.make(WriteConnection, writer).pipe(Context.add(ReadConnection, reader))
    })
  )

/** Fails for a place where there can be no database of ours, before anything is created for it. */
export const checkPlace = (path: string): Effect.Effect<void, DatabaseUnusable> =>
  attempt(path, () => refusePlace(path))

/**
 * A connection that cannot write. While it is open, others do not merge the write-ahead log into the database when
 * they are closed: a start that is refused leaves both as they were.
 */
const openGuard = (file: string): Database => {
  // After a crash in the middle of a commit SQLite takes back what it finds, but not for those who only read.
  if (sizeOf(`${file}-journal`) > 0) {
    using database = new Database(file, { readwrite: true })
    readPragma(database, "schema_version")
  }
  if (sizeOf(`${file}-wal`) > 0) return new Database(file, { readonly: true })
  // Without a log there is nothing to merge, and this leaves no empty one behind.
  const flags = sqlite.SQLITE_OPEN_READONLY | sqlite.SQLITE_OPEN_URI
  return new Database(`${pathToFileURL(file).href}?immutable=1`, flags)
}

const checkForDamage = (database: Database | undefined): void => {
  if (database === undefined) return
  const bytes = Number(readPragma(database, "page_count")) * Number(readPragma(database, "page_size"))
  const check = bytes <= CHECKED_BYTES_MAX ? readPragma(database, "quick_check(1)") : "ok"
  if (check !== "ok") throw new Error(`malformed: ${String(check).replaceAll("\n", " ")}`)
  if (readPragma(database, "application_id") !== APPLICATION_ID) {
    throw new Error("the write-ahead log beside it is of another database; restore a backup of both")
  }
}

const prepareWriter = (writer: SqliteConnection): void => {
  const { database } = writer
  const version = database.query<{ version: string }, []>("SELECT sqlite_version() AS version").get()?.version ?? "?"
  if (Bun.semver.order(version, SQLITE_VERSION_MIN) < 0) {
    throw new Error(`SQLite is ${version}, it has to be at least ${SQLITE_VERSION_MIN}`)
  }
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
 * Held until the process ends, however it ends: the kernel releases a file lock on SIGKILL, too. Nothing is written, so
 * that a start succeeds on a full disk; the locking mode lets the lock outlast the commit of the mark.
 */
const takeLock = (path: string, file: string) => {
  const lockPath = lockPathOf(file)
  return closing(attempt(path, () => new Database(lockPath, { create: true, readwrite: true }))).pipe(
    Effect.tap((lock) =>
      attempt(path, () => {
        lock.run("PRAGMA busy_timeout = 0; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE")
        // On a file that this user may not write, the lock has no effect, and SQLite does not say so.
        accessSync(lockPath, constants.W_OK)
      })
    ),
    Effect.mapError(({ reason }) => {
      const taken = "another process is using it; stop that one or set another DB_PATH"
      const other = `its lock ${lockPath}: ${reason === NO_DATABASE ? "it is damaged; delete it" : reason}`
      return new DatabaseUnusable({ path, reason: reason.includes("locked") ? taken : other })
    })
  )
}

const open = (path: string, file: string, mode: "create" | "readonly") =>
  Effect.acquireRelease(
    attempt(path, () => new SqliteConnection(file, mode)),
    (connection) => Effect.sync(() => connection.database.close())
  )

const closing = <E>(opened: Effect.Effect<Database, E>) =>
  Effect.acquireRelease(opened, (database) => Effect.sync(() => database.close()))

const attempt = <A>(path: string, f: () => A): Effect.Effect<A, DatabaseUnusable> =>
  Effect.try({
    try: f,
    catch: (cause) => new DatabaseUnusable({ path, reason: explain(cause) })
  })

const explain = (cause: unknown): string => {
  const message = cause instanceof Error ? cause.message : String(cause)
  if (message.includes("malformed")) return `it is damaged (${message}); restore a backup`
  if (/readonly|EACCES|EROFS|EPERM/.test(message))
    return "this user may not read and write it; give it the rights, or set another DB_PATH"
  if (/ENOENT|ENOTDIR|EEXIST/.test(message))
    return "its folder is not there, and cannot be made; set DB_PATH to a file elsewhere"
  if (message.includes("is full")) return "the disk is full; make room on it"
  if (message.includes("unable to open")) return "this user may not open it, or create it there; give it the rights"
  return message.includes("not a database") ? NO_DATABASE : message
}
