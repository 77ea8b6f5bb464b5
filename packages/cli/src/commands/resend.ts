import { Effect, Option } from "effect"
import { Command } from "effect/cli"
import { Agent, callsOf, withAgent } from "../agent.ts"
import { type Detail, dueAtOf, type Reference, sayingThatItWaits, tellAccepted, waiting } from "../calls.ts"
import { findCall, suggesting } from "../find-call.ts"
import { callId, due, wait } from "../flags.ts"

export const resend = Command.make(
  "resend",
  { id: callId, ...due, wait },
  Effect.fn("Cli.resend")(function* (given) {
    const { ask, settings } = yield* Agent
    const serviceCallId = yield* findCall(given.id)
    const dueAt = yield* dueAtOf(given)
    const body = Option.match(dueAt, { onNone: () => ({}), onSome: (at) => ({ dueAt: at }) })
    const path = callsOf(settings, serviceCallId, "resend")
    const asked = ask<Reference | Detail>("POST", path, { body, ...waiting(given.wait) })
    const answer = yield* suggesting(serviceCallId, sayingThatItWaits(given.wait, asked))
    yield* tellAccepted(answer, given.wait)
  })
).pipe(
  Command.withDescription(
    "Make a call again, as a new call with the same request. It has to be kept: call --keep-request"
  ),
  Command.withExamples([{ command: "esa resend 5ad132ca --wait", description: "Now, and wait for the outcome" }]),
  withAgent
)
