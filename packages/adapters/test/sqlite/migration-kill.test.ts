import { Database } from "bun:sqlite"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, describe, expect, it } from "vitest"
import { APPLICATION_ID, migrate, migrations, readPragma } from "../../src/sqlite/migrations.ts"

const SCRIPT = join(import.meta.dirname, "migrate-and-die.ts")
/** The statements of one migration: its own, and the two marks before the commit. */
const RUNS_OF_ONE = 3

const folder = mkdtempSync(join(tmpdir(), "event-service-migration-"))
afterAll(() => rmSync(folder, { recursive: true }))

const schemaOf = (database: Database) =>
  database.query("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name").all()

/** A call, its submission and a message, as the first version stored them. */
const ROWS = `
  INSERT INTO outbox (message_id, type, schema_version, tenant_id, service_call_id, version, timestamp, correlation_id,
    payload) VALUES ('m', 'SubmitServiceCall', 1, 'acme', 'c', 1, 1, 'k', '{}');
  INSERT INTO deliveries VALUES ('orchestration', 1, 'acme', 'c', 2, 3);
  INSERT INTO service_calls (tenant_id, service_call_id, revision, status, name, request, tags, timeout_ms, on_unknown,
    keep_request, correlation_id, accepted_at, due_at, submitted_at, is_due)
    VALUES ('acme', 'c', 2, 'Scheduled', 'n', '{}', '[]', 1, 'fail', 0, 'k', 1, 1, 1, 0);
  INSERT INTO execution_attempts VALUES ('acme', 'c', 1, 'p', 1, 2, 'k', 'm', NULL, NULL);`

describe("a start that is killed while it migrates", () => {
  it("goes on at the next one, at whichever statement it died, and loses no row", async () => {
    using fresh = new Database(":memory:", { strict: true })
    migrate(fresh)
    const deaths = (migrations.length - 1) * RUNS_OF_ONE
    for (let dieAt = 0; dieAt <= deaths; dieAt++) {
      const path = join(folder, `${dieAt}.db`)
      {
        using earliest = new Database(path, { strict: true, create: true, readwrite: true })
        earliest.run(migrations[0] ?? "")
        earliest.run(ROWS)
        earliest.run(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = 1`)
      }
      const child = Bun.spawn([process.execPath, SCRIPT, path, String(dieAt)], { stderr: "inherit" })
      await child.exited
      expect({ dieAt, signal: child.signalCode }).toEqual({ dieAt, signal: dieAt < deaths ? "SIGKILL" : null })

      using database = new Database(path, { strict: true, readwrite: true })
      expect(readPragma(database, "user_version")).toBe(1 + Math.floor(dieAt / RUNS_OF_ONE))
      migrate(database)
      expect(readPragma(database, "integrity_check")).toBe("ok")
      expect({ dieAt, schema: schemaOf(database) }).toEqual({ dieAt, schema: schemaOf(fresh) })
      for (const table of ["outbox", "deliveries", "service_calls", "execution_attempts"]) {
        const row = database.query<{ rows: number }, []>(`SELECT count(*) AS rows FROM ${table}`).get()
        expect({ dieAt, table, ...row }).toEqual({ dieAt, table, rows: 1 })
      }
    }
  })
})
