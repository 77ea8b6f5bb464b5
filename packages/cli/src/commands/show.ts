import { Effect } from "effect"
import { Command } from "effect/cli"
import { Agent, withAgent } from "../agent.ts"
import { type Detail, detailOf, printDetail } from "../calls.ts"
import { findCall, suggesting } from "../find-call.ts"
import { callId } from "../flags.ts"

export const show = Command.make(
  "show",
  { id: callId },
  Effect.fn("Cli.show")(function* ({ id }) {
    const { next } = yield* Agent
    const serviceCallId = yield* findCall(id)
    const detail = yield* suggesting(serviceCallId, detailOf(serviceCallId))
    yield* printDetail(detail)
    yield* next(nextFor(detail))
  })
).pipe(
  Command.withDescription("Show all about a call"),
  Command.withExamples([
    { command: "esa show 5ad132ca", description: "The end of an id, as the page shows it, is enough" },
    { command: "esa show 5ad132ca --json | jq .outcome", description: "Only how it ended" }
  ]),
  withAgent
)

const nextFor = ({ serviceCallId, status, problems, requestKept }: Detail): string => {
  const [problem] = problems
  if (problem !== undefined) return `dead-letters replay ${problem.consumer} ${problem.seq}`
  if (status === "Scheduled") return `cancel ${serviceCallId}`
  return status === "Failed" && requestKept ? `resend ${serviceCallId}` : `why ${serviceCallId}`
}
