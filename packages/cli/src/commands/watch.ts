import { Effect } from "effect"
import { Command } from "effect/cli"
import { Agent, callsOf, withAgent } from "../agent.ts"
import { type Change, describeChange } from "../describe-change.ts"
import { type CommandFailed, EXIT } from "../failure.ts"
import { statuses } from "../flags.ts"
import { readEvents } from "../live-events.ts"
import { note, paintNote, print } from "../output.ts"

/** Names of calls that are shown with their later changes. */
const NAMES_MAX = 10_000
const RECONNECT_AFTER_MS = 1_000

export const watch = Command.make(
  "watch",
  { status: statuses },
  Effect.fn("Cli.watch")(function* ({ status }) {
    const { follow, settings } = yield* Agent
    const say = (text: string) => note(paintNote("dim", text))
    const wanted: ReadonlySet<string> = new Set(status.map((name) => `ServiceCall${name}`))
    const names = new Map<string, string>()
    /** The last event that was seen; `undefined` before the first connection. */
    let place: string | undefined
    let isConnected = false

    const show = (change: Change) => {
      const { serviceCallId, payload, type } = change
      if (payload.name !== undefined) names.set(serviceCallId, payload.name)
      if (names.size > NAMES_MAX) names.delete(names.keys().next().value ?? "")
      if (wanted.size > 0 && !wanted.has(type)) return Effect.void
      return print(settings.isJson ? JSON.stringify(change) : describeChange(change, names.get(serviceCallId)))
    }

    /** Shows what comes until the connection ends. */
    const watchOnce = Effect.fnUntraced(function* (signal: AbortSignal) {
      const headers = place === undefined ? {} : { "last-event-id": place }
      const next = readEvents(settings.url, yield* follow(callsOf(settings, "events"), headers, signal))
      isConnected = true
      yield* say(place === undefined ? "watching" : "watching again, from where it was")
      for (let event = yield* next; event !== undefined; event = yield* next) {
        if (event.event === "reset") yield* say("the service no longer has what happened meanwhile: it is missing here")
        else if (event.event.startsWith("ServiceCall")) yield* show(JSON.parse(event.data))
        place = event.id ?? place
      }
    })

    /** A first connection that fails is told, and so is a refusal; otherwise it comes back. */
    const isLost = (failed: CommandFailed) =>
      place !== undefined && (failed.exitCode === EXIT.unreachable || failed.exitCode === EXIT.later)

    while (true) {
      yield* Effect.acquireUseRelease(
        Effect.sync(() => new AbortController()),
        ({ signal }) => watchOnce(signal),
        (controller) => Effect.sync(() => controller.abort())
      ).pipe(Effect.catchIf(isLost, () => Effect.void))
      if (isConnected) yield* say("the connection is lost, trying again")
      isConnected = false
      yield* Effect.sleep(RECONNECT_AFTER_MS)
    }
  })
).pipe(
  Command.withDescription("Follow what happens to calls, a line for each change"),
  Command.withExamples([
    { command: "esa watch --status failed", description: "Only failures" },
    { command: "esa watch --json | jq -r .serviceCallId", description: "For programs" }
  ]),
  withAgent
)
