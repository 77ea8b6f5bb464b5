import { Effect } from "effect"
import type { Bindings, SqliteConnection } from "../bun/sqlite.ts"

/** Rows in one statement: bounds the statements prepared, one for each number of rows. */
const ROWS_MAX = 64

/**
 * An insert of many rows with few statements, which costs about half of a statement for each row. Returns the last
 * rowid.
 *
 * @param insert the statement up to and including `VALUES`
 */
export const insertRows = (connection: SqliteConnection, insert: string, columns: number) => {
  const row = `(${Array.from({ length: columns }, () => "?").join(", ")})`
  const statements = Array.from({ length: ROWS_MAX }, (_, index) =>
    connection.prepare(`${insert} ${Array.from({ length: index + 1 }, () => row).join(", ")}`)
  )
  return Effect.fnUntracedEager(function* (rows: ReadonlyArray<Bindings>) {
    let lastId = 0
    for (let start = 0; start < rows.length; start += ROWS_MAX) {
      const chunk = rows.slice(start, start + ROWS_MAX)
      const inserted = yield* statements[chunk.length - 1]?.run(...chunk.flat()) ?? Effect.die("no such statement")
      lastId = inserted.lastId
    }
    return lastId
  })
}
