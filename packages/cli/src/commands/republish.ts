import { Effect, Option } from "effect"
import { Command, Flag } from "effect/cli"
import { Agent, withAgent } from "../agent.ts"
import { print } from "../output.ts"
import { DURATION_HINT, MOMENT_HINT, parseDuration, parseMoment } from "../times.ts"

export const republish = Command.make(
  "republish",
  {
    since: Flag.String("since").pipe(
      Flag.withMetavar("<time>"),
      Flag.withDescription("Events that were written then or later; a duration is so long ago"),
      Flag.filterMap(
        (text) => {
          const now = new Date()
          const ago = Option.map(parseDuration(text), (ms) => new Date(now.getTime() - ms))
          return Option.map(
            Option.orElse(ago, () => parseMoment(text, now)),
            (at) => at.toISOString()
          )
        },
        () => `${MOMENT_HINT}; or ${DURATION_HINT}`
      )
    )
  },
  Effect.fn("Cli.republish")(function* ({ since }) {
    const { ask, settings } = yield* Agent
    const { body } = yield* ask<{ readonly events: number }>("POST", "/api/admin/republish", { body: { since } })
    yield* print(settings.isJson ? JSON.stringify(body) : `${body.events} events go out again, in the background`)
  })
).pipe(
  Command.withDescription("Publish events to NATS once more, for listeners that have lost them"),
  Command.withExamples([{ command: "esa republish --since 2h", description: "Of the last two hours" }]),
  withAgent
)
