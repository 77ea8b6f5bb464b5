import { join } from "node:path"
import { layer as databaseLayer } from "@event-service-agent/adapters/sqlite/database"
import { Effect, Layer } from "effect"
import { loadSecretKey } from "../../src/secret-key.ts"

/** The part of a start that creates files, as the program does it: the key, then the database. Then it stops. */
export const createFiles = (folder: string) =>
  Effect.scoped(
    Effect.gen(function* () {
      const dbPath = join(folder, "data", "service.db")
      yield* loadSecretKey(join(folder, "keys", "secret.key"), dbPath)
      yield* Layer.build(databaseLayer(dbPath))
    })
  )

if (import.meta.main) await Effect.runPromise(createFiles(process.argv[2] ?? ""))
