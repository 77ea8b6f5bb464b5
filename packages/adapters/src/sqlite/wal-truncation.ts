import { Effect, Layer, Schedule } from "effect"
import { WriteConnection } from "./database.ts"
import { readPragma } from "./migrations.ts"

/** How long the log may keep what was erased, in milliseconds, while the program runs and nobody else reads the file. */
export const WAL_TRUNCATION_INTERVAL_MS = 60_000

/**
 * Empties the write-ahead log at the start and then once a minute, if there was something to write. The log holds
 * earlier states of the pages, and with them what was erased since, until other frames happen to overwrite them. When
 * the connections are closed, SQLite empties it by itself.
 */
export const layer = Layer.effectDiscard(
  Effect.gen(function* () {
    const connection = yield* WriteConnection
    const { database } = connection
    let writesBefore: number | undefined
    const truncate = Effect.suspend(() => {
      const { writes } = connection
      if (writes === writesBefore) return Effect.void
      // Whoever else reads the file must not hold up the writer: then it is tried again later.
      const busyTimeout = readPragma(database, "busy_timeout")
      database.run("PRAGMA busy_timeout = 0")
      try {
        if (readPragma(database, "wal_checkpoint(TRUNCATE)") !== 0) {
          return Effect.logDebug("the write-ahead log could not be emptied, somebody reads it")
        }
      } finally {
        database.run(`PRAGMA busy_timeout = ${busyTimeout}`)
      }
      writesBefore = writes
      return Effect.void
    })
    yield* truncate.pipe(
      Effect.catchDefect((cause) => Effect.logWarning("emptying the write-ahead log failed", cause)),
      Effect.repeat(Schedule.spaced(WAL_TRUNCATION_INTERVAL_MS)),
      Effect.forkScoped
    )
  })
)
