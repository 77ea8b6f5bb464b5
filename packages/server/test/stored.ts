import { Database, type SQLQueryBindings } from "bun:sqlite"

/** What a query finds in a database file, which a running program may have open as well. */
export const stored = <Row>(dbPath: string, sql: string, ...bindings: ReadonlyArray<SQLQueryBindings>): Array<Row> => {
  using database = new Database(dbPath, { readonly: true })
  using statement = database.prepare<Row, Array<SQLQueryBindings>>(sql)
  return statement.all(...bindings)
}

/** Changes what a running program has stored. */
export const changeStored = (dbPath: string, sql: string, ...bindings: ReadonlyArray<SQLQueryBindings>): void => {
  using database = new Database(dbPath)
  database.run("PRAGMA busy_timeout = 10000")
  database.run(sql, [...bindings])
}

export const TABLES = [
  "outbox",
  "deliveries",
  "dead_letters",
  "service_calls",
  "service_call_tags",
  "submissions",
  "timer_schedules",
  "execution_attempts",
  "api_keys"
] as const

/** The number of rows of every table. */
export const rowCounts = (dbPath: string): Readonly<Record<string, number>> => {
  const counts = TABLES.map((table) => `SELECT '${table}' AS name, count(*) AS rows FROM ${table}`).join(" UNION ALL ")
  const rows = stored<{ readonly name: string; readonly rows: number }>(dbPath, counts)
  return Object.fromEntries(rows.map(({ name, rows: count }) => [name, count]))
}

/** What SQLite itself finds wrong with the file. */
export const damageOf = (dbPath: string): ReadonlyArray<unknown> => [
  ...stored<{ readonly integrity_check: string }>(dbPath, "PRAGMA integrity_check").filter(
    (row) => row.integrity_check !== "ok"
  ),
  ...stored(dbPath, "PRAGMA foreign_key_check")
]
