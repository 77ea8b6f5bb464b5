import { Effect } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { Agent, callsOf, withAgent } from "../agent.ts"
import { detailOf } from "../calls.ts"
import { changeCall, printChanged } from "../change-call.ts"
import { CommandFailed, EXIT } from "../failure.ts"
import { findCall, suggesting } from "../find-call.ts"
import { callId } from "../flags.ts"
import { visible } from "../output.ts"

export const tag = Command.make(
  "tag",
  {
    id: callId,
    changes: Argument.String("+tag").pipe(
      Argument.withDescription("+tag adds one, -tag takes one away"),
      Argument.variadic()
    ),
    remove: Flag.String("remove").pipe(
      Flag.withMetavar("<tag>"),
      Flag.withDescription("The same as -tag; may repeat"),
      Flag.atLeast(0)
    )
  },
  Effect.fn("Cli.tag")(function* ({ id, changes, remove }) {
    const { settings, next } = yield* Agent
    const unclear = changes.find((change) => !/^[+-]./.test(change))
    if (unclear !== undefined || changes.length + remove.length === 0) {
      const message = unclear === undefined ? "no tag is named" : `${visible(unclear)} is neither +tag nor -tag`
      return yield* new CommandFailed({ exitCode: EXIT.usage, message, next: "esa tag --help" })
    }
    const added = changes.filter((change) => change.startsWith("+")).map((change) => change.slice(1))
    // After `--`, where nothing is a flag.
    const removed = [...remove, ...changes.filter((change) => change.startsWith("-")).map((change) => change.slice(1))]
    const serviceCallId = yield* findCall(id)
    const { tags: before } = yield* suggesting(serviceCallId, detailOf(serviceCallId))
    const tags = [...new Set([...before, ...added])].filter((name) => !removed.includes(name))
    const changed = yield* changeCall("PUT", callsOf(settings, serviceCallId, "tags"), { tags }, serviceCallId)
    yield* printChanged(changed, visible(tags.join(", ")))
    yield* next(`show ${serviceCallId}`)
  })
).pipe(
  Command.withDescription("Add and take away tags of a call. The star of the page is the tag starred"),
  Command.withExamples([{ command: "esa tag 5ad132ca +starred -billing", description: "Star it, and no billing" }]),
  withAgent
)
