import { CONSUMERS } from "@event-service-agent/schemas/envelope"
import { Effect } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { Agent, withAgent } from "../agent.ts"
import { note, print, visible } from "../output.ts"
import { localTime } from "../times.ts"

/** As it travels. */
interface DeadLetter {
  readonly consumer: string
  readonly seq: number
  readonly tenantId: string
  readonly serviceCallId: string
  readonly messageType: string
  readonly attempts: number
  readonly error: string
  readonly diedAt: string
}

const list = Command.make(
  "list",
  { limit: Flag.Int("limit").pipe(Flag.withDescription("How many (20), at most 100"), Flag.withDefault(20)) },
  Effect.fn("Cli.listDeadLetters")(function* ({ limit }) {
    const { ask, settings, next } = yield* Agent
    const query = new URLSearchParams({ limit: String(limit) })
    const { items } = (yield* ask<{ readonly items: ReadonlyArray<DeadLetter> }>("GET", LETTERS, { query })).body
    const [first] = items
    if (first === undefined) return settings.isJson ? undefined : yield* note("there are no dead letters")
    yield* print(items.map(settings.isJson ? (letter) => JSON.stringify(letter) : inOneLine).join("\n"))
    yield* next(`dead-letters replay ${first.consumer} ${first.seq}`)
  })
).pipe(
  Command.withDescription("List messages that a module could not handle, the oldest first, of all tenants"),
  withAgent
)

const inOneLine = (letter: DeadLetter): string =>
  visible(
    `${letter.consumer} ${letter.seq}  ${localTime(letter.diedAt)}  ${letter.tenantId} ${letter.serviceCallId}  ` +
      `${letter.messageType}  ${letter.attempts} tries: ${letter.error}`
  )

const letter = {
  consumer: Argument.Literals("consumer", CONSUMERS).pipe(Argument.withDescription("The module")),
  seq: Argument.Int("seq").pipe(Argument.withDescription("Number of the message, from the list"))
}

/** A command that does something with one dead letter. */
const change = (
  name: "replay" | "discard",
  method: "POST" | "DELETE",
  suffix: string,
  said: string,
  description: string
) =>
  Command.make(
    name,
    letter,
    Effect.fnUntraced(function* ({ consumer, seq }) {
      const { ask, settings, next } = yield* Agent
      yield* ask(method, `${LETTERS}/${encodeURIComponent(consumer)}/${seq}${suffix}`)
      yield* print(settings.isJson ? JSON.stringify({ consumer, seq, [name]: true }) : said)
      yield* next("dead-letters list")
    })
  ).pipe(Command.withDescription(description), withAgent)

const LETTERS = "/api/admin/dead-letters"

export const deadLetters = Command.make("dead-letters").pipe(
  Command.withDescription("Messages that a module could not handle: list, replay, discard"),
  Command.withSubcommands([
    list,
    change("replay", "POST", "/replay", "is tried again", "Try a message again"),
    change("discard", "DELETE", "", "given up", "Give a message up; later ones of its call go on")
  ]),
  Command.withExamples([
    { command: "esa dead-letters list", description: "What could not be handled, and why" },
    { command: "esa dead-letters replay orchestration 4711", description: "Once the cause is gone" }
  ])
)
