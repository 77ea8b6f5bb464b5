import { formatSpan } from "@event-service-agent/schemas/format-span"
import { Effect, Option } from "effect"
import { Command, Flag } from "effect/cli"
import { Agent, callsOf, withAgent } from "../agent.ts"
import type { Page, Summary } from "../calls.ts"
import { moment, statuses, tags } from "../flags.ts"
import { isTerminal, note, paint, print, visible } from "../output.ts"
import { paintStatus } from "../show-call.ts"
import { localTime } from "../times.ts"

const PAGE_MAX = 100
const LIMIT_DEFAULT = 20
const NAME_WIDTH = 28
/** Columns before the name. */
const FIXED_WIDTH = 36 + 2 + 9 + 2 + 19 + 2 + 9 + 2

export const list = Command.make(
  "list",
  {
    status: statuses,
    tag: tags,
    text: Flag.String("text").pipe(Flag.withDescription("Looked for in name and URL"), Flag.optional),
    from: moment("from").pipe(Flag.withDescription("Due then or later"), Flag.optional),
    to: moment("to").pipe(Flag.withDescription("Due before"), Flag.optional),
    limit: Flag.Int("limit").pipe(
      Flag.withDescription(`How many (${LIMIT_DEFAULT})`),
      Flag.filter(
        (limit) => limit >= 1,
        () => "1 or more"
      ),
      Flag.withDefault(LIMIT_DEFAULT)
    ),
    all: Flag.Boolean("all").pipe(Flag.withoutNegation, Flag.withDescription("Every one"), Flag.withDefault(false))
  },
  Effect.fn("Cli.list")(function* ({ status, tag, text, from, to, limit, all }) {
    const { ask, settings, next } = yield* Agent
    const query = new URLSearchParams([
      ...status.map((value) => ["status", value]),
      ...tag.map((value) => ["tag", value]),
      ...Option.toArray(text).map((value) => ["q", value]),
      ...Option.toArray(from).map((value) => ["from", value]),
      ...Option.toArray(to).map((value) => ["to", value])
    ])
    let shown = 0
    let latest: Summary | undefined
    let cursor: string | null = null
    do {
      query.set("limit", String(all ? PAGE_MAX : Math.min(PAGE_MAX, limit - shown)))
      if (cursor !== null) query.set("cursor", cursor)
      const page: Page = (yield* ask<Page>("GET", callsOf(settings), { query })).body
      if (page.items.length > 0) {
        if (shown === 0 && !settings.isJson) yield* print(HEADING)
        yield* print(page.items.map(settings.isJson ? (call) => JSON.stringify(call) : inOneLine).join("\n"))
      }
      latest ??= page.items[0]
      shown += page.items.length
      cursor = page.next
    } while (cursor !== null && (all || shown < limit))
    if (settings.isJson) return
    if (latest === undefined) {
      yield* note(query.size > 1 ? "no call is like that" : "there are no calls yet")
      return yield* next(query.size > 1 ? "list" : "call GET https://example.com/ --wait")
    }
    if (cursor !== null) yield* note(`the latest ${shown}; there are more: --limit, --all`)
    yield* next(`show ${latest.serviceCallId}`)
  })
).pipe(
  Command.withDescription("List calls, the newest accepted first"),
  Command.withExamples([
    { command: "esa list --status failed --from yesterday", description: "What failed since yesterday" },
    { command: "esa list --all --json | jq -r .serviceCallId", description: "Every id, a line each" }
  ]),
  withAgent
)

const HEADING = paint(
  "bold",
  `${"ID".padEnd(36)}  ${"STATUS".padEnd(9)}  ${"DUE".padEnd(19)}  ${"LATENESS".padStart(9)}  ${"NAME".padEnd(NAME_WIDTH)}  REQUEST`
)

const inOneLine = (call: Summary): string => {
  const lateness = call.latenessMs === null ? "" : formatSpan(call.latenessMs)
  const failure = call.failure === null ? "" : ` ${call.failure.kind}`
  const rest = `${visible(call.name).padEnd(NAME_WIDTH)}  ${visible(`${call.request.method} ${call.request.url}`)}${failure}`
  const width = isTerminal() ? Math.max(NAME_WIDTH, (process.stdout.columns ?? 0) - FIXED_WIDTH) : rest.length
  const shortened = rest.length > width ? `${rest.slice(0, width - 1)}…` : rest
  return `${call.serviceCallId}  ${paintStatus(call.status, 9)}  ${localTime(call.dueAt)}  ${lateness.padStart(9)}  ${shortened}`
}
