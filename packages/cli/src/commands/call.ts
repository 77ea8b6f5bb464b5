import { type SubmissionBody, TIMEOUT_MAX_MS } from "@event-service-agent/api/submission-body"
import { METHODS } from "@event-service-agent/schemas/http-request"
import { Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { Agent, callsOf, withAgent } from "../agent.ts"
import { type Detail, dueAtOf, type Reference, sayingThatItWaits, tellAccepted, waiting } from "../calls.ts"
import { CommandFailed, EXIT } from "../failure.ts"
import { due, duration, tags, wait } from "../flags.ts"
import { readData } from "../read-data.ts"

type Submission = (typeof SubmissionBody)["Encoded"]

const NAME_CHARACTERS_MAX = 200

const flags = {
  method: Argument.String("method").pipe(
    Argument.withDescription(METHODS.join(", ")),
    Argument.filterMap(
      (text) => Option.fromUndefinedOr(METHODS.find((method) => method === text.toUpperCase())),
      () => METHODS.join(", ")
    )
  ),
  url: Argument.String("url").pipe(Argument.withDescription("Absolute, http or https")),
  header: Flag.String("header").pipe(
    Flag.withAlias("H"),
    Flag.withMetavar("<name: value>"),
    Flag.withDescription("A header to send; may repeat"),
    Flag.atLeast(0)
  ),
  data: Flag.String("data").pipe(
    Flag.withAlias("d"),
    Flag.withMetavar("<text>"),
    Flag.withDescription("The body: text, @file, or - for stdin. JSON gets its content type by itself"),
    Flag.optional
  ),
  name: Flag.String("name").pipe(
    Flag.withDescription("What people call it; by default method, host and path"),
    Flag.optional
  ),
  ...due,
  tag: tags.pipe(Flag.withDescription("May repeat")),
  timeout: duration("timeout").pipe(
    Flag.filter(
      (ms) => ms >= 1 && ms <= TIMEOUT_MAX_MS,
      () => `at most ${TIMEOUT_MAX_MS / 1_000}s`
    ),
    Flag.withDescription(`For the whole attempt; 10s, at most ${TIMEOUT_MAX_MS / 1_000}s`),
    Flag.optional
  ),
  onUnknown: Flag.Literals("on-unknown", ["fail", "resend"]).pipe(
    Flag.withDescription("When nobody can know whether it was sent: give up, or send once more"),
    Flag.optional
  ),
  targetIsIdempotent: Flag.Boolean("target-is-idempotent").pipe(
    Flag.withoutNegation,
    Flag.withDescription("The target knows a repeated Idempotency-Key: --on-unknown resend for POST and PATCH, too"),
    Flag.withDefault(false)
  ),
  idempotencyKey: Flag.String("idempotency-key").pipe(
    Flag.withMetavar("<key>"),
    Flag.withDescription("The same key and content again is the same call"),
    Flag.optional
  ),
  keepRequest: Flag.Boolean("keep-request").pipe(
    Flag.withoutNegation,
    Flag.withDescription("Keep the sealed request after the end, for resend"),
    Flag.withDefault(false)
  ),
  wait
}

export const call = Command.make(
  "call",
  flags,
  Effect.fn("Cli.call")(function* (given) {
    const { ask, settings } = yield* Agent
    const headers = yield* readHeaders(given.header)
    const dueAt = yield* dueAtOf(given)
    const body = Option.isSome(given.data) ? yield* readData(given.data.value) : undefined
    const submission: Submission = {
      name: Option.getOrElse(given.name, () => nameOf(given.method, given.url)),
      requestSpec: {
        method: given.method,
        url: given.url,
        headers: body !== undefined && isJson(body) ? { ...jsonUnless(headers), ...headers } : headers,
        ...(body !== undefined && { body })
      },
      ...(Option.isSome(dueAt) && { dueAt: dueAt.value }),
      ...(given.tag.length > 0 && { tags: given.tag }),
      ...(Option.isSome(given.timeout) && { timeoutMs: given.timeout.value }),
      ...(Option.isSome(given.onUnknown) && { onUnknown: given.onUnknown.value }),
      ...(given.targetIsIdempotent && { targetIsIdempotent: true }),
      ...(Option.isSome(given.idempotencyKey) && { idempotencyKey: given.idempotencyKey.value }),
      ...(given.keepRequest && { keepRequest: true })
    }
    const asked = ask<Reference | Detail>("POST", callsOf(settings), { body: submission, ...waiting(given.wait) })
    yield* tellAccepted(yield* sayingThatItWaits(given.wait, asked), given.wait)
  })
).pipe(
  Command.withDescription("Make an HTTP call, now or later. Prints its id"),
  Command.withExamples([
    { command: "esa call GET https://example.com/ --wait", description: "Call now, wait for the outcome and show it" },
    {
      command: `esa call POST https://example.com/hook -H 'authorization: Bearer x' -d '{"a":1}' --at 'tomorrow 09:00'`,
      description: "Call at a local time, with a header and a JSON body"
    },
    {
      command: "esa call PUT https://example.com/x -d @body.json --in 5m --tag billing --idempotency-key invoice-7",
      description: "Call in five minutes, once, however often this is typed"
    }
  ]),
  withAgent
)

/** Without the query, in which secrets like to stand, and what a name may not have. */
const nameOf = (method: string, address: string): string => {
  const url = URL.parse(address)
  const target = url === null ? "" : ` ${url.host}${url.pathname}`
  return [...`${method}${target}`].slice(0, NAME_CHARACTERS_MAX).join("")
}

const readHeaders = (given: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const headers: Record<string, string> = {}
    for (const text of given) {
      const [, name, value] = /^([^:\s]+):\s*(.*)$/s.exec(text) ?? []
      if (name === undefined || value === undefined) {
        // Not repeated here: it may be a secret.
        return yield* wrongHeader('expected "name: value"')
      }
      if (Object.keys(headers).some((other) => other.toLowerCase() === name.toLowerCase())) {
        return yield* wrongHeader(`${name} is there twice`)
      }
      headers[name] = value
    }
    return headers
  })

const wrongHeader = (problem: string) =>
  Effect.fail(new CommandFailed({ exitCode: EXIT.usage, message: `--header is wrong: ${problem}` }))

const jsonUnless = (headers: Readonly<Record<string, string>>): Readonly<Record<string, string>> =>
  Object.keys(headers).some((name) => name.toLowerCase() === "content-type")
    ? {}
    : { "content-type": "application/json" }

/** Only objects and lists: a number or a word may be meant as what it is. */
const isJson = (text: string): boolean => {
  if (!/^\s*[[{]/.test(text)) return false
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
