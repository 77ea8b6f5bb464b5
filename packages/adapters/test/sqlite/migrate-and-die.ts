import { Database } from "bun:sqlite"
import { migrate } from "../../src/sqlite/migrations.ts"

/** Migrates the database of the first argument, and ends like a crash before the statement that the second one counts. */
const [path = "", dieAt = "0"] = process.argv.slice(2)
const database = new Database(path, { strict: true, readwrite: true })
database.run("PRAGMA journal_mode = WAL")
const run = database.run.bind(database)
let runs = 0
database.run = (sql, ...bindings) => {
  if (runs++ === Number(dieAt)) process.kill(process.pid, "SIGKILL")
  return run(sql, ...bindings)
}
migrate(database)
