import { dirname, join } from "node:path"
import { formatSpan } from "@event-service-agent/schemas/format-span"
import { Effect } from "effect"
import { Argument, Command } from "effect/cli"
import { AlreadyThere, backUp } from "../back-up.ts"
import { CommandFailed, EXIT } from "../failure.ts"
import { databasePath } from "../flags.ts"
import { note, print } from "../output.ts"
import type { SentMeanwhile } from "../sent-meanwhile.ts"
import { JsonFlag } from "../settings.ts"

const MEBIBYTE = 1_048_576

export const backup = Command.make(
  "backup",
  {
    file: Argument.String("file").pipe(Argument.withDescription("The new file; one that is there stays")),
    db: databasePath
  },
  Effect.fn("Cli.backup")(function* ({ file, db }) {
    const isJson = yield* JsonFlag
    const done = yield* Effect.try({ try: () => backUp(db, file), catch: (cause) => explain(db, cause) })
    const size = `${(done.bytes / MEBIBYTE).toFixed(1)} MiB`
    yield* print(
      isJson
        ? JSON.stringify(done)
        : `${file}: ${size} in ${formatSpan(done.tookMs)}, schema version ${done.schemaVersion}, checked`
    )
    if (isJson) return
    if (done.sentMeanwhile.calls > 0) yield* note(describeSent(done.sentMeanwhile))
    const key = process.env["SECRET_KEY_FILE"] ?? join(dirname(db), "secret.key")
    yield* note(
      `Keep a copy of the secret key, too, and apart from it: ${key}. Without it no call that waits can be sent.`
    )
  })
).pipe(
  Command.withDescription("Copy the database into a new file while the service runs, and check the copy"),
  Command.withExamples([
    { command: "esa backup /backups/calls-$(date +%F).db", description: "Of the database of this folder" },
    { command: "esa backup calls.db --db /srv/esa/event_service.db", description: "Of another one" }
  ])
)

const describeSent = ({ calls, latenessMs: { median, max } }: SentMeanwhile): string =>
  calls === 1
    ? `1 call was sent meanwhile, ${formatSpan(max)} late`
    : `${calls} calls were sent meanwhile, the latest one ${formatSpan(max)} late, half of them at most ${formatSpan(median)}`

const explain = (db: string, cause: unknown): CommandFailed => {
  const message = cause instanceof Error ? cause.message : String(cause)
  if (cause instanceof AlreadyThere) return new CommandFailed({ exitCode: EXIT.conflict, message })
  const isMissing = message === "there is no database"
  return new CommandFailed({
    exitCode: isMissing ? EXIT.notFound : EXIT.failed,
    message: `no backup of ${db}: ${message}`,
    ...(isMissing && { details: ["Where it is: --db, or DB_PATH"] })
  })
}
