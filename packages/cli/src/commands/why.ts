import type { Why } from "@event-service-agent/api/representations"
import { formatSpan } from "@event-service-agent/schemas/format-span"
import { Effect } from "effect"
import { Command } from "effect/cli"
import { Agent, callsOf, withAgent } from "../agent.ts"
import { dueInWords } from "../calls.ts"
import { findCall, suggesting } from "../find-call.ts"
import { callId } from "../flags.ts"
import { print, visible } from "../output.ts"
import { inColumns, paintStatus } from "../show-call.ts"

export const why = Command.make(
  "why",
  { id: callId },
  Effect.fn("Cli.why")(function* ({ id }) {
    const { ask, settings, next } = yield* Agent
    const serviceCallId = yield* findCall(id)
    const asked = ask<(typeof Why)["Encoded"]>("GET", callsOf(settings, serviceCallId, "why"))
    const { body } = yield* suggesting(serviceCallId, asked)
    if (settings.isJson) return yield* print(JSON.stringify(body, null, 2))
    const { gate, summary, status, nextWakeUpAt, numbers, lateness } = body
    yield* print(
      [
        visible(summary),
        "",
        ...inColumns([
          ["status", paintStatus(status)],
          ["gate", visible(gate)],
          ...(nextWakeUpAt === null ? [] : [["next wake-up", dueInWords(nextWakeUpAt)] as const]),
          ...Object.entries(numbers).map(([name, value]) => [spaced(name), inUnit(name, value)] as const),
          ...Object.entries(lateness ?? {}).map(
            ([name, ms]) => [`late: ${PARTS[name] ?? name}`, formatSpan(ms)] as const
          )
        ])
      ].join("\n")
    )
    yield* next(`show ${serviceCallId}`)
  })
).pipe(
  Command.withDescription("Say why a call waits or was late: the gate, the numbers, the next wake-up"),
  Command.withExamples([{ command: "esa why 5ad132ca", description: "What it waits for" }]),
  withAgent
)

const PARTS: Readonly<Record<string, string>> = {
  totalMs: "in all",
  releaseMs: "until its release",
  claimMs: "until its claim",
  sendMs: "until the send"
}

/** `runningOfTenant` as `running of tenant`, `runsMs` as `runs`. */
const spaced = (name: string): string =>
  visible(name.replace(/Ms$/, "").replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`))

const inUnit = (name: string, value: number): string => (name.endsWith("Ms") ? formatSpan(value) : String(value))
