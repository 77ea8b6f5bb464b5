import { makeTransaction, Transaction } from "@event-service-agent/platform/transaction"
import { Effect, Layer } from "effect"
import { WriteConnection } from "./database.ts"

/** The writer over the one writing connection. Units share a `BEGIN IMMEDIATE … COMMIT`, and with it one fsync. */
export const layer = Layer.effect(
  Transaction,
  Effect.gen(function* () {
    const connection = yield* WriteConnection
    const { database } = connection
    const step = (sql: string) => {
      const statement = database.prepare(sql)
      return () => {
        statement.run()
      }
    }
    return yield* makeTransaction({
      begin: step("BEGIN IMMEDIATE"),
      commit: step("COMMIT"),
      rollback: step("ROLLBACK"),
      savepoint: step("SAVEPOINT unit"),
      releaseSavepoint: step("RELEASE unit"),
      rollbackToSavepoint: step("ROLLBACK TO unit"),
      writes: () => connection.writes,
      isActive: () => database.inTransaction
    })
  })
)
