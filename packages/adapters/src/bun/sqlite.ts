import { Database, SQLiteError, type SQLQueryBindings, type Statement } from "bun:sqlite"
import { StorageError, SYNC } from "@event-service-agent/platform/storage-error"
import { Effect, Exit } from "effect"

export type Bindings = ReadonlyArray<SQLQueryBindings>

/**
 * A prepared statement. Each call is one synchronous step in SQLite; a failure is a `StorageError`. Called inside a
 * transaction, the step is taken at once and its exit returned, which saves the effect for each of the many steps of a
 * unit of work. Called anywhere else, it is an effect like any other.
 */
export interface Prepared<Row> {
  readonly all: (...bindings: Bindings) => Effect.Effect<ReadonlyArray<Row>, StorageError>
  readonly first: (...bindings: Bindings) => Effect.Effect<Row | undefined, StorageError>
  /** For statements that write. Returns the number of changed rows and the last rowid. */
  readonly run: (
    ...bindings: Bindings
  ) => Effect.Effect<{ readonly changes: number; readonly lastId: number }, StorageError>
}

/** One connection of bun:sqlite, with counts for those who work on it. */
export class SqliteConnection {
  readonly database: Database
  writes = 0
  /** Of what is committed, when some of it is not on the disk yet: what is read here is told only then. */
  synced: () => Promise<void> | undefined = () => undefined
  /** Changes when writes were taken back: what is known of them only in memory is to be forgotten. */
  generation = 0

  constructor(path: string, mode: "create" | "readonly") {
    this.database = new Database(path, {
      readonly: mode === "readonly",
      readwrite: mode === "create",
      create: mode === "create",
      strict: true
    })
  }

  /** Prepares on first use. The text is the statement's name in errors, so it holds no values. */
  prepare<Row = never>(sql: string): Prepared<Row> {
    let prepared: Statement<Row, Array<SQLQueryBindings>> | undefined
    const step = <A>(f: (statement: Statement<Row, Array<SQLQueryBindings>>) => A): Exit.Exit<A, StorageError> => {
      try {
        prepared ??= this.database.prepare(sql)
        return Exit.succeed(f(prepared))
      } catch (cause) {
        const error = new StorageError({ operation: sql.trim().split(/\s+/, 4).join(" "), cause })
        // Trying again would not help: the statement or its values are wrong, which is a bug.
        return isBug(cause) ? Exit.die(error.message) : Exit.fail(error)
      }
    }
    const use = <A>(f: (statement: Statement<Row, Array<SQLQueryBindings>>) => A): Effect.Effect<A, StorageError> =>
      this.database.inTransaction
        ? step(f)
        : Effect.suspend(() => {
            const found = step(f)
            const synced = this.synced()
            if (synced === undefined) return found
            const failed = (cause: unknown) => new StorageError({ operation: SYNC, cause })
            return Effect.andThen(Effect.tryPromise({ try: () => synced, catch: failed }), found)
          })
    return {
      all: (...bindings) => use((statement) => statement.all(...bindings)),
      first: (...bindings) => use((statement) => statement.get(...bindings) ?? undefined),
      run: (...bindings) =>
        use((statement) => {
          this.writes++
          const { changes, lastInsertRowid } = statement.run(...bindings)
          return { changes, lastId: Number(lastInsertRowid) }
        })
    }
  }
}

const isBug = (cause: unknown): boolean =>
  cause instanceof SQLiteError && /^SQLITE_(CONSTRAINT|MISMATCH|RANGE)/.test(cause.code ?? "")
