import type { Database } from "bun:sqlite"
import { closeSync, fdatasync, openSync } from "node:fs"
import { promisify } from "node:util"
import { type Journal, makeTransaction, Transaction } from "@event-service-agent/platform/transaction"
import { Effect, Layer } from "effect"
import type { SqliteConnection } from "../bun/sqlite.ts"
import { ReadConnection, WriteConnection } from "./database.ts"

/**
 * The writer over the one writing connection. Units share a `BEGIN IMMEDIATE … COMMIT`, and with it one sync of the
 * write-ahead log, which is what `synchronous = FULL` would do within COMMIT: but then the thread would stand still.
 */
export const layer = Layer.effect(
  Transaction,
  Effect.gen(function* () {
    const connection = yield* WriteConnection
    const reader = yield* ReadConnection
    const descriptor = yield* openLog(connection.database)
    const journal = journalOf(connection)
    let writesBefore = 0
    let unsynced: PromiseWithResolvers<void> | undefined
    reader.synced = () => unsynced?.promise
    const syncCommitted = async (committed: PromiseWithResolvers<void>) => {
      try {
        await promisify(fdatasync)(descriptor)
        committed.resolve()
        unsynced = undefined
      } catch (error) {
        // What is read stays in doubt.
        committed.reject(error)
        throw error
      }
    }
    return yield* makeTransaction({
      ...journal,
      begin: () => {
        journal.begin()
        writesBefore = connection.writes
      },
      commit: () => {
        journal.commit()
        if (connection.writes === writesBefore) return
        unsynced = Promise.withResolvers()
        unsynced.promise.catch(() => {})
      },
      sync: () => (unsynced === undefined ? undefined : syncCommitted(unsynced))
    })
  })
)

/** The steps of the writer, but for the sync. */
export const journalOf = (connection: SqliteConnection): Omit<Journal, "sync"> => {
  const { database } = connection
  const step = (sql: string) => {
    const statement = database.prepare(sql)
    return () => {
      statement.run()
    }
  }
  const [begin, commit, rollbackToSavepoint] = [step("BEGIN IMMEDIATE"), step("COMMIT"), step("ROLLBACK TO unit")]
  let isCommitted = true
  return {
    begin: () => {
      // However the last one ended: SQLite rolls back by itself when the disk is full.
      if (!isCommitted) connection.generation++
      isCommitted = false
      begin()
    },
    commit: () => {
      commit()
      isCommitted = true
    },
    rollback: step("ROLLBACK"),
    savepoint: step("SAVEPOINT unit"),
    releaseSavepoint: step("RELEASE unit"),
    rollbackToSavepoint: () => {
      connection.generation++
      rollbackToSavepoint()
    },
    writes: () => connection.writes,
    isActive: () => database.inTransaction
  }
}

/**
 * The write-ahead log, to be synced: it stays the same file until the database is closed. At the start, since a process
 * that is out of file descriptors must be able to commit.
 */
const openLog = (database: Database) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      // The first read creates it.
      database.query("SELECT 1 FROM sqlite_schema").get()
      return openSync(`${database.filename}-wal`, "r+")
    }),
    (descriptor) => Effect.sync(() => closeSync(descriptor))
  )
