import type { CallDetail, CallReference, CallSummary } from "@event-service-agent/api/representations"
import { Effect, Option } from "effect"
import { Agent, type Answer, callsOf, spell } from "./agent.ts"
import { CommandFailed, EXIT } from "./failure.ts"
import { note, paintNote, print, visible } from "./output.ts"
import { describeCall } from "./show-call.ts"
import { fromNow, localTime } from "./times.ts"

/** What travels: times are text. */
export type Detail = (typeof CallDetail)["Encoded"]
export type Reference = (typeof CallReference)["Encoded"]
export type Summary = (typeof CallSummary)["Encoded"]
export interface Page {
  readonly items: ReadonlyArray<Summary>
  readonly next: string | null
}

/** The service takes a little longer to answer than the time it was asked to wait. */
const WAIT_SLACK_MS = 10_000
/** Whoever waits for longer is told that the program waits, too. */
const SILENCE_MS_MAX = 1_000

interface Due {
  readonly at: Option.Option<string>
  readonly in: Option.Option<number>
}

/** RFC 3339, or `none` for now. `--at` and `--in` exclude each other. */
export const dueAtOf = (due: Due): Effect.Effect<Option.Option<string>, CommandFailed> =>
  Option.isSome(due.at) && Option.isSome(due.in)
    ? Effect.fail(new CommandFailed({ exitCode: EXIT.usage, message: "--at and --in exclude each other" }))
    : Effect.succeed(Option.orElse(due.at, () => Option.map(due.in, (ms) => new Date(Date.now() + ms).toISOString())))

/** What has to be sent so that the service waits, and how long its answer may take then. */
export const waiting = (seconds: Option.Option<number>) =>
  Option.match(seconds, {
    onNone: () => ({ headers: {} }),
    onSome: (wait) => ({ headers: { prefer: `wait=${wait}` }, patienceMs: wait * 1_000 + WAIT_SLACK_MS })
  })

/** Says, while the answer takes its time, what it waits for. */
export const sayingThatItWaits = <A, R>(wait: Option.Option<number>, asked: Effect.Effect<A, CommandFailed, R>) =>
  Effect.gen(function* () {
    const { settings } = yield* Agent
    if (Option.isSome(wait) && !settings.isJson) {
      const text = paintNote("dim", `waiting for the outcome, up to ${wait.value} s`)
      yield* Effect.forkScoped(Effect.delay(note(text), SILENCE_MS_MAX))
    }
    return yield* asked
  }).pipe(Effect.scoped)

/** Tells what became of a submission. Fails when it was to wait, and the call failed or has not ended. */
export const tellAccepted = Effect.fn("Cli.tellAccepted")(function* (
  { body, headers }: Answer<Reference | Detail>,
  wait: Option.Option<number>
) {
  const { settings, next } = yield* Agent
  const { serviceCallId } = body
  if (headers.get("idempotency-replayed") === "true" && !settings.isJson) {
    yield* note("accepted before under this idempotency key: this is that call")
  }
  if ("outcome" in body) return yield* tellEnd(body)
  if (Option.isSome(wait)) return yield* tellUnended(body, wait.value)
  yield* print(settings.isJson ? JSON.stringify(body) : serviceCallId)
  yield* next(`show ${serviceCallId}`)
})

/** Tells what the call is after the wait: the answer has what it was when it was accepted. */
const tellUnended = Effect.fn("Cli.tellUnended")(function* (accepted: Reference, seconds: number) {
  const { settings } = yield* Agent
  const { serviceCallId } = accepted
  const detail = yield* Effect.option(detailOf(serviceCallId))
  if (Option.isSome(detail) && detail.value.outcome !== null) return yield* tellEnd(detail.value)
  const status = Option.match(detail, { onNone: () => accepted.status, onSome: (now) => now.status })
  const due = Option.filter(detail, ({ dueAt }) => status === "Scheduled" && Date.parse(dueAt) > Date.now())
  yield* print(settings.isJson ? JSON.stringify({ ...accepted, status }) : serviceCallId)
  return yield* new CommandFailed({
    exitCode: EXIT.later,
    message: `not ended within ${seconds} s: it is ${status}${Option.isSome(due) ? `, due ${dueInWords(due.value.dueAt)}` : ""}`,
    next: spell(settings, `why ${serviceCallId}`)
  })
})

/** Shows a call that has ended. Fails when the call did. */
const tellEnd = Effect.fn("Cli.tellEnd")(function* (detail: Detail) {
  const { settings, next } = yield* Agent
  yield* printDetail(detail)
  const { serviceCallId, outcome } = detail
  if (outcome?.type !== "Succeeded") {
    const message = outcome?.type === "Failed" ? `${outcome.error.kind}: ${outcome.error.message}` : "it was cancelled"
    return yield* new CommandFailed({
      exitCode: EXIT.failed,
      message: visible(message),
      next: spell(settings, `${detail.requestKept ? "resend" : "why"} ${serviceCallId}`)
    })
  }
  yield* next(`show ${serviceCallId}`)
})

export const printDetail = Effect.fn("Cli.printDetail")(function* (detail: Detail) {
  const { settings } = yield* Agent
  yield* print(settings.isJson ? JSON.stringify(detail, null, 2) : describeCall(detail, Date.now()).join("\n"))
})

/** When a call is due, for people. */
export const dueInWords = (dueAt: string): string => `${localTime(dueAt)}, ${fromNow(dueAt, Date.now())}`

/** All about a call. */
export const detailOf = Effect.fn("Cli.detailOf")(function* (serviceCallId: string) {
  const { ask, settings } = yield* Agent
  return (yield* ask<Detail>("GET", callsOf(settings, serviceCallId))).body
})
