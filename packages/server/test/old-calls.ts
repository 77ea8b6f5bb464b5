import { Database } from "bun:sqlite"

/** Of a call; not the messages that wait for consumers. */
const TABLES = ["service_calls", "service_call_tags", "submissions", "execution_attempts", "outbox"]

/**
 * Stores copies of the calls that are in the file, each with all that belongs to it, as if they had been submitted and
 * ended so many milliseconds earlier. The service must not run.
 */
export const storeOldCalls = (dbPath: string, copies: number, ageMs: number): void => {
  using database = new Database(dbPath)
  database.run("PRAGMA synchronous = OFF")
  database.transaction(() => {
    for (const table of TABLES) {
      const columns = database.query<{ readonly name: string }, [string]>("SELECT name FROM pragma_table_info(?)")
      const names = columns.all(table).flatMap(({ name }) => (name === "seq" ? [] : name))
      const values = names.map((name) => {
        // Its random end first: ids of the same millisecond begin alike.
        if (name === "service_call_id") {
          return "substr(o.service_call_id, 29) || printf('-0000-7000-8000-%012x', c.value)"
        }
        return /_at$|^timestamp$/.test(name) ? `o.${name} - ${ageMs}` : `o.${name}`
      })
      database.run(
        `WITH RECURSIVE c (value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM c WHERE value < ${copies})
         INSERT INTO ${table} (${names}) SELECT ${values} FROM c CROSS JOIN ${table} o ORDER BY c.value`
      )
    }
  })()
}

/** Makes a dead letter of a message that has been stored since its call. The service must not run. */
export const storeDeadLetter = (dbPath: string): void => {
  using database = new Database(dbPath)
  database.run(
    `INSERT INTO dead_letters (consumer, seq, tenant_id, service_call_id, type, attempts, error, died_at)
     SELECT 'orchestration', seq, tenant_id, service_call_id, type, 10, 'Error: poison', timestamp FROM outbox LIMIT 1`
  )
}
