import { Database } from "bun:sqlite"
import { refuseForeign, sizeOf } from "@event-service-agent/adapters/sqlite/database-files"
import { migrations, readPragma } from "@event-service-agent/adapters/sqlite/migrations"

/** How long to wait for a writer who has the file at the moment. */
const BUSY_MS = 5_000

/** Opens the service's database to read, also while the service runs. Throws for what is none, with the reason. */
export const openDatabase = (path: string): Database => {
  if (sizeOf(path) === 0) throw new Error("there is no database")
  refuseForeign(path)
  const database = new Database(path, { readonly: true })
  // No copies of what is stored in temporary files.
  database.run(`PRAGMA busy_timeout = ${BUSY_MS}; PRAGMA trusted_schema = OFF; PRAGMA temp_store = MEMORY`)
  return database
}

/** What SQLite finds wrong with the whole file; empty when it is sound. */
export const damageOf = (database: Database): ReadonlyArray<string> => {
  const found = [
    ...database.query<{ integrity_check: string }, []>("PRAGMA integrity_check(10)").all(),
    ...database.query<{ table: string }, []>("PRAGMA foreign_key_check").all()
  ].map((row) => ("table" in row ? `a row of ${row.table} refers to nothing` : row.integrity_check))
  return found.filter((line) => line !== "ok")
}

/** The version of its schema, and the one that this program knows. */
export const schemaVersionOf = (database: Database): { readonly stored: number; readonly known: number } => ({
  stored: Number(readPragma(database, "user_version")),
  known: migrations.length
})

/** Bytes that a copy without the free pages has at most; what is only in the write-ahead log yet counts, too. */
export const usedBytesOf = (database: Database): number => {
  const read = (name: string) => Number(readPragma(database, name))
  return (read("page_count") - read("freelist_count")) * read("page_size")
}
