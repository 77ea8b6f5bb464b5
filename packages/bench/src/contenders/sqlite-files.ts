import { Database } from "bun:sqlite"
import { readdirSync, statSync } from "node:fs"
import { join } from "node:path"

/** Merges the write-ahead log into the database, which a running program may have open, and measures both. */
export const checkpointedBytes = (path: string): number => {
  using database = new Database(path, { readwrite: true, create: false })
  database.run("PRAGMA busy_timeout = 5000")
  database.query("PRAGMA wal_checkpoint(TRUNCATE)").all()
  return [path, `${path}-wal`].reduce((sum, file) => sum + (statSync(file, { throwIfNoEntry: false })?.size ?? 0), 0)
}

/** Of all files below a folder. */
export const bytesBelow = (folder: string): number =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce(
      (sum, entry) => sum + (statSync(join(entry.parentPath, entry.name), { throwIfNoEntry: false })?.size ?? 0),
      0
    )

/** How many calls a statement counts in a database that a running program writes, until it is closed. */
export const openCount = (path: string, sql: string, ...bindings: Array<string | number>) => {
  const database = new Database(path, { readonly: true })
  const statement = database.prepare<{ readonly calls: number }, Array<string | number>>(sql)
  return {
    calls: () => statement.get(...bindings)?.calls ?? 0,
    close: () => {
      statement.finalize()
      database.close()
    }
  }
}
