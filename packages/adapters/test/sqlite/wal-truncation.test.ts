import { Database } from "bun:sqlite"
import { statSync } from "node:fs"
import { onTestClock } from "@event-service-agent/platform/testing"
import { Context, Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { describe, expect, it } from "vitest"
import { layer as databaseLayer, WriteConnection } from "../../src/sqlite/database.ts"
import { readPragma } from "../../src/sqlite/migrations.ts"
import { WAL_TRUNCATION_INTERVAL_MS, layer as walTruncationLayer } from "../../src/sqlite/wal-truncation.ts"
import { temporaryPath } from "./temporary-database.ts"

const INSERT = "INSERT INTO service_call_tags VALUES ('acme', ?, 1, 'id')"

/** A database whose log is emptied by the clock, and what the test needs of it. */
const opened = Effect.gen(function* () {
  const path = yield* temporaryPath
  const context = yield* Layer.buildWithScope(
    walTruncationLayer.pipe(Layer.provideMerge(databaseLayer(path))),
    yield* Effect.scope
  )
  const writer = Context.get(context, WriteConnection)
  const write = Effect.suspend(() => writer.prepare(INSERT).run(crypto.randomUUID()))
  yield* TestClock.adjust(0)
  return { path, writer, write, logBytes: Effect.sync(() => statSync(`${path}-wal`).size) }
})

describe("the write-ahead log", () => {
  it(
    "is empty a minute after the last write",
    onTestClock(
      Effect.gen(function* () {
        const { write, logBytes } = yield* opened
        for (const _ of [1, 2, 3]) {
          yield* write
          expect(yield* logBytes).toBeGreaterThan(0)
          yield* TestClock.adjust(WAL_TRUNCATION_INTERVAL_MS)
          expect(yield* logBytes).toBe(0)
        }
      })
    )
  )

  it(
    "waits for somebody who reads, and does not hold up the writer for it",
    onTestClock(
      Effect.gen(function* () {
        const { path, writer, write, logBytes } = yield* opened
        yield* write
        // Longer than the test may take.
        writer.database.run("PRAGMA busy_timeout = 60000")
        const other = new Database(path, { readonly: true })
        other.run("BEGIN; SELECT count(*) FROM service_call_tags")
        yield* write
        yield* TestClock.adjust(WAL_TRUNCATION_INTERVAL_MS)
        expect(yield* logBytes).toBeGreaterThan(0)
        expect(readPragma(writer.database, "busy_timeout")).toBe(60_000)
        other.close()
        yield* TestClock.adjust(WAL_TRUNCATION_INTERVAL_MS)
        expect(yield* logBytes).toBe(0)
      })
    )
  )
})
