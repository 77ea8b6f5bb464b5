import { Database } from "bun:sqlite"

/**
 * Loaded before the program: once that has verified its settings and prepares the first statement of its writer, it no
 * longer waits for the disk. For the test of the test alone.
 */
Database.prototype.prepare = new Proxy(Database.prototype.prepare, {
  apply: (prepare, database: Database, [sql, ...rest]) => {
    if (sql === "BEGIN IMMEDIATE") database.run("PRAGMA synchronous = OFF")
    return Reflect.apply(prepare, database, [sql, ...rest])
  }
})
