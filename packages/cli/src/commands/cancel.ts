import { Effect, Option } from "effect"
import { Command, Flag } from "effect/cli"
import { Agent, callsOf, withAgent } from "../agent.ts"
import type { Detail, Reference } from "../calls.ts"
import { changeCall, printChanged } from "../change-call.ts"
import { findCall, suggesting } from "../find-call.ts"
import { callId } from "../flags.ts"

export const cancel = Command.make(
  "cancel",
  {
    id: callId,
    reason: Flag.String("reason").pipe(Flag.withDescription("Why, for whoever looks at it later"), Flag.optional)
  },
  Effect.fn("Cli.cancel")(function* ({ id, reason }) {
    const { settings, next } = yield* Agent
    const serviceCallId = yield* findCall(id)
    const body = Option.match(reason, { onNone: () => ({}), onSome: (text) => ({ reason: text }) })
    const asked = changeCall("POST", callsOf(settings, serviceCallId, "cancel"), body, serviceCallId)
    const changed: Detail | Reference = yield* suggesting(serviceCallId, asked)
    yield* printChanged(changed, changed.status)
    yield* next(`show ${serviceCallId}`)
  })
).pipe(
  Command.withDescription("Cancel a call that has not started"),
  Command.withExamples([{ command: "esa cancel 5ad132ca --reason 'wrong customer'", description: "With a reason" }]),
  withAgent
)
