import { Database } from "bun:sqlite"
import { createHash } from "node:crypto"
import { describe, expect, it } from "vitest"
import { APPLICATION_ID, migrate, migrations, readPragma } from "../../src/sqlite/migrations.ts"

/** A database as the program had it that knew only the first migrations. */
const earlier = (version: number) => {
  const database = new Database(":memory:", { strict: true })
  for (const sql of migrations.slice(0, version)) database.run(sql)
  database.run(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${version}`)
  return database
}

/** The beginning of the SHA-256 of each. A migration that was published is never edited: new ones are appended. */
const PUBLISHED = [
  "fa59aa7b048d4c53",
  "43e2cdaeca75e48a",
  "c6f92419004be4e1",
  "5b85198a19f795af",
  "6c66efe4694c20c6",
  "f3b98b7d2aa705a9",
  "1956022a1ace21f0",
  "4bb8e9ce8a269f2d",
  "1a7039396164b440",
  "4566bb08f6858670",
  "5acf95821bbab77b"
]

const schemaOf = (database: Database) =>
  database.query("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name").all()

describe("the migrations", () => {
  it("are those that were published, in their order", () => {
    const hashes = migrations.map((sql) => createHash("sha256").update(sql).digest("hex").slice(0, 16))
    expect(hashes).toEqual(PUBLISHED)
  })
})

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

  it("gets the index that an edited migration has kept from it", () => {
    using fresh = earlier(0)
    migrate(fresh)
    for (const version of [2, migrations.length - 1]) {
      using database = earlier(version)
      database.run("DROP INDEX timer_schedules_of_tenant")
      migrate(database)
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
      { ...row, ...more, sealed_for_resend: null, is_remote: 0, traceparent: null }
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

  it("counts the calls that it has, and takes what happened before for lost to those who follow", () => {
    using database = earlier(migrations.findIndex((sql) => sql.includes("CREATE TABLE service_call_counts")))
    const insert = (table: string, row: Readonly<Record<string, string | number>>) =>
      database
        .query(`INSERT INTO ${table} (${Object.keys(row)}) VALUES (${Object.keys(row).map((name) => `$${name}`)})`)
        .run(row)
    const common = { timeout_ms: 1, on_unknown: "fail", correlation_id: "k", accepted_at: 1, due_at: 1, name: "n" }
    const calls = [
      ["acme", "c1", "Succeeded", ["a", "b"]],
      ["acme", "c2", "Succeeded", ["a"]],
      ["acme", "c3", "Scheduled", []],
      ["other", "c1", "Failed", ["a"]]
    ] as const
    for (const [tenant_id, service_call_id, status, tags] of calls) {
      const key = { tenant_id, service_call_id }
      const row = { ...common, ...key, revision: 1, status, request: "{}", tags: JSON.stringify(tags) }
      insert("service_calls", { ...row, keep_request: 0, submitted_at: 1, is_due: 0 })
      for (const tag of tags) insert("service_call_tags", { ...key, tag, accepted_at: 1 })
      const {
        timeout_ms: _,
        on_unknown: __,
        accepted_at: ___,
        due_at: ____,
        name: _____,
        ...ids
      } = { ...common, ...key }
      insert("outbox", {
        ...ids,
        message_id: "m",
        type: "ServiceCallScheduled",
        schema_version: 1,
        version: 1,
        timestamp: 1,
        payload: "{}"
      })
    }
    migrate(database)
    const counts = () =>
      database.query("SELECT tenant_id || ' ' || kind || ' ' || name AS name, calls FROM service_call_counts").values()
    const before = [
      ["acme status Scheduled", 1],
      ["acme status Succeeded", 2],
      ["acme tag a", 2],
      ["acme tag b", 1],
      ["other status Failed", 1],
      ["other tag a", 1]
    ]
    expect(counts()).toEqual(before)
    expect(database.query("SELECT seq FROM event_horizon").values()).toEqual([[calls.length]])
    expect(database.query("SELECT DISTINCT cloned_from FROM service_calls").values()).toEqual([[null]])
    // From now on they are kept.
    database.run("DELETE FROM service_calls WHERE service_call_id = 'c2'")
    database.run("DELETE FROM service_call_tags WHERE service_call_id = 'c2'")
    expect(counts()).toEqual(
      before.map(([name, count]) => [name, /acme (status Succeeded|tag a)/.test(String(name)) ? 1 : count])
    )
  })

  it("counts what its calls hold, whatever was counted before", () => {
    const before = migrations.findIndex((sql) => sql.includes("CREATE TABLE stored_bytes"))
    const recounted = migrations.findIndex((sql) => sql.includes("DROP TRIGGER add_stored_bytes"))
    for (const version of [before, before + 1, recounted, migrations.length - 1]) {
      using database = earlier(version)
      const row = "1, 'Scheduled', ?, ?, ?, ?, 1, 'fail', 0, 'k', 1, 1, 1, 0, ?"
      const insert = database.query(
        `INSERT INTO service_calls (tenant_id, service_call_id, revision, status, name, request, sealed, tags, timeout_ms,
           on_unknown, keep_request, correlation_id, accepted_at, due_at, submitted_at, is_due, outcome) VALUES (?, ?, ${row})`
      )
      insert.run("acme", "a", "ö", '{"ä":1}', new Uint8Array(100), '["ü"]', null)
      insert.run("acme", "b", "n", "{}", null, "[]", "[1]")
      insert.run("globex", "a", "nn", "{}", null, "[]", null)
      migrate(database)
      const bytes = () => database.query("SELECT tenant_id, bytes FROM stored_bytes ORDER BY tenant_id").values()
      const [acme, globex] = [2 + 8 + 100 + 6 + (1 + 2 + 2 + 3), 2 + 2 + 2]
      expect({ version, bytes: bytes() }).toEqual({
        version,
        bytes: [
          ["acme", acme],
          ["globex", globex]
        ]
      })
      // From now on it is kept.
      database.run("UPDATE service_calls SET tags = '[\"ß\"]', sealed = NULL WHERE service_call_id = 'a'")
      expect(bytes()).toEqual([
        ["acme", acme - 100],
        ["globex", globex + 4]
      ])
      database.run("DELETE FROM service_calls")
      expect(bytes()).toEqual([
        ["acme", 0],
        ["globex", 0]
      ])
    }
  })
})
