import { Effect } from "effect"
import { ReadConnection } from "./database.ts"

/** Names this database and its copies: made with it, and never changed. */
export const installationId = Effect.gen(function* () {
  const reader = yield* ReadConnection
  const row = yield* reader.prepare<{ readonly id: string }>("SELECT id FROM installation").first()
  return row?.id ?? (yield* Effect.die("the database has no installation"))
})
