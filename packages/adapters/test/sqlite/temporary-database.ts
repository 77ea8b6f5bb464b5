import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Layer } from "effect"
import { layer as databaseLayer } from "../../src/sqlite/database.ts"

/** A path for a database in a folder of its own, removed with the scope. */
export const temporaryPath = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "event-service-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
).pipe(Effect.map((folder) => join(folder, "event_service.db")))

/** A real database file, fresh for each build of the layer. */
export const temporaryDatabase = Layer.unwrap(Effect.map(temporaryPath, databaseLayer))
