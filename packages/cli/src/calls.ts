import type { CallDetail, CallReference, CallSummary } from "@event-service-agent/api/representations"
import { Effect, Option } from "effect"
import { Agent, type Answer, callsOf, spell } from "./agent.ts"
import { CommandFailed, EXIT } from "./failure.ts"
import { note, print, visible } from "./output.ts"
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

/** Tells what became of a submission. Fails when it was to wait, and the call failed or has not ended. */
export const tellAccepted = Effect.fn("Cli.tellAccepted")(function* (
  { body, headers }: Answer<Reference | Detail>,
  wait: Option.Option<number>
) {
  const { settings, next } = yield* Agent
  const { serviceCallId, status } = body
  if (headers.get("idempotency-replayed") === "true" && !settings.isJson) {
    yield* note("accepted before under this idempotency key: this is that call")
  }
  if ("outcome" in body) return yield* tellEnd(body)
  yield* print(settings.isJson ? JSON.stringify(body) : serviceCallId)
  if (Option.isSome(wait)) {
    return yield* new CommandFailed({
      exitCode: EXIT.later,
      message: `not ended within ${wait.value} s, it is ${status}`,
      next: spell(settings, `why ${serviceCallId}`)
    })
  }
  yield* next(`show ${serviceCallId}`)
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
