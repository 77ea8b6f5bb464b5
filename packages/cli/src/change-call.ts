import { Effect } from "effect"
import { Agent, spell } from "./agent.ts"
import type { Detail, Reference } from "./calls.ts"
import { CommandFailed, EXIT } from "./failure.ts"
import { print } from "./output.ts"

const UNDECIDED = 202

/** Asks for a change of a call. Fails with `later` when orchestration has not decided by the time of the answer. */
export const changeCall = Effect.fn("Cli.changeCall")(function* (
  method: "POST" | "PUT",
  path: string,
  body: unknown,
  serviceCallId: string
) {
  const { ask, settings } = yield* Agent
  const answer = yield* ask<Detail | Reference>(method, path, { body })
  if (answer.status !== UNDECIDED) return answer.body
  return yield* new CommandFailed({
    exitCode: EXIT.later,
    message: "accepted, but not decided yet",
    next: spell(settings, `show ${serviceCallId}`)
  })
})

/** The call as it is now as JSON, or a line for people. */
export const printChanged = Effect.fn("Cli.printChanged")(function* (changed: Detail | Reference, line: string) {
  const { settings } = yield* Agent
  yield* print(settings.isJson ? JSON.stringify(changed, null, 2) : line)
})
