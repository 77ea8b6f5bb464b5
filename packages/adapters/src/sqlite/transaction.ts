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
    const syncFile = yield* makeSyncOf(`${connection.database.filename}-wal`)
    const journal = journalOf(connection)
    let writesBefore = 0
    let unsynced: PromiseWithResolvers<void> | undefined
    reader.synced = () => unsynced?.promise
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
      // After a failure, what is read stays in doubt.
      sync: async () => {
        try {
          await syncFile()
          unsynced?.resolve()
          unsynced = undefined
        } catch (error) {
          unsynced?.reject(error)
          throw error
        }
      }
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

/** Syncs a file that comes to be with the first commit, and stays until the database is closed. */
const makeSyncOf = (path: string) => {
  let descriptor: number | undefined
  const close = Effect.sync(() => {
    if (descriptor !== undefined) closeSync(descriptor)
  })
  const sync = async () => {
    descriptor ??= openSync(path, "r+")
    await promisify(fdatasync)(descriptor)
  }
  return Effect.as(
    Effect.addFinalizer(() => close),
    sync
  )
}
