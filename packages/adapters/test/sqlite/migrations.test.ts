import { Database } from "bun:sqlite"
import { describe, expect, it } from "vitest"
import { APPLICATION_ID, migrate, migrations, readPragma } from "../../src/sqlite/migrations.ts"

/** A database as the program had it that knew only the first migrations. */
const earlier = (version: number) => {
  const database = new Database(":memory:", { strict: true })
  for (const sql of migrations.slice(0, version)) database.run(sql)
  database.run(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${version}`)
  return database
}

const schemaOf = (database: Database) =>
  database.query("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name").all()

describe("an earlier database", () => {
  it("gets the schema of a new one, whatever version it has", () => {
    using fresh = earlier(0)
    migrate(fresh)
    for (const version of migrations.keys()) {
      using database = earlier(version)
      migrate(database)
      expect(readPragma(database, "user_version")).toBe(migrations.length)
      expect(schemaOf(database)).toEqual(schemaOf(fresh))
    }
  })

  it("keeps its attempts", () => {
    using database = earlier(1)
    const row = { tenant_id: "acme", service_call_id: "c", number: 1, process_id: "p", started_at: 1, deadline_at: 2 }
    const more = { correlation_id: "k", causation_id: "m", outcome: "{}", evidence: null }
    const columns = Object.keys({ ...row, ...more })
    database
      .query(`INSERT INTO execution_attempts (${columns}) VALUES (${columns.map((name) => `$${name}`)})`)
      .run({ ...row, ...more })
    migrate(database)
    expect(database.query("SELECT * FROM execution_attempts").all()).toEqual([
      { ...row, ...more, sealed_for_resend: null, is_remote: 0 }
    ])
  })

  it("keeps what is not handled, and its dead letters", () => {
    using database = earlier(2)
    database.run(`
      INSERT INTO outbox (message_id, type, schema_version, tenant_id, service_call_id, version, timestamp, correlation_id,
        payload) VALUES ('m', 'SubmitServiceCall', 1, 'acme', 'c', 1, 1, 'k', '{}');
      INSERT INTO deliveries VALUES ('orchestration', 1, 'acme', 'c', 2, 3);
      INSERT INTO dead_letters VALUES ('timer', 1, 'acme', 'c', 'SubmitServiceCall', 10, 'e', 4)`)
    const rows = () => ["deliveries", "dead_letters"].map((table) => database.query(`SELECT * FROM ${table}`).all())
    const before = rows()
    migrate(database)
    expect(rows()).toEqual(before)
    expect(before.flat()).toHaveLength(2)
  })
})
