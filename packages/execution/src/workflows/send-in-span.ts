import { beginSpan, callAttributes, endSpan, failedAs, Tracing } from "@event-service-agent/platform/tracing"
import { formatTraceparent } from "@event-service-agent/schemas/traceparent"
import { Effect, Exit, Option, Tracer } from "effect"
import type { AttemptOutcome, OpenAttempt } from "../domain/attempt.ts"
import { type ClaimedAttempt, sendAttempt } from "./send-attempt.ts"

/** What became of a send, and the attempt as what follows from it goes on. */
export interface Sent {
  readonly attempt: OpenAttempt
  /** None when it was too late: then nothing was sent. */
  readonly outcome: Option.Option<AttemptOutcome>
}

/** Sends the request, once, as a span of its own while spans are exported. */
export const sendInSpan = (claimed: ClaimedAttempt) =>
  Effect.flatMap(Tracing, (isTracing) => (isTracing ? sendTraced(claimed) : sendPlain(claimed)))

const sendPlain = (claimed: ClaimedAttempt) =>
  Effect.map(sendAttempt(claimed), (outcome): Sent => ({ attempt: claimed.attempt, outcome }))

const sendTraced = Effect.fnUntraced(function* (claimed: ClaimedAttempt) {
  const { attempt } = claimed
  const span = yield* beginSpan("send", {
    kind: "client",
    traceparent: attempt.traceparent,
    attributes: { ...callAttributes(attempt.key, attempt.correlationId), "esa.attempt": attempt.number }
  })
  const outcome = yield* sendAttempt(claimed).pipe(
    Effect.provideService(Tracer.ParentSpan, span),
    Effect.onExit((exit) => endSpan(span, Exit.isSuccess(exit) ? describe(span, exit.value) : failedAs("Interrupted")))
  )
  return { attempt: { ...attempt, traceparent: formatTraceparent(span) }, outcome } satisfies Sent
})

/** Writes what became of it into the span. Returns how that ends. */
const describe = (span: Tracer.Span, result: Option.Option<AttemptOutcome>): Exit.Exit<void, string> => {
  const outcome = Option.getOrUndefined(result)
  if (outcome === undefined) return failed(span, "TooLate")
  const { status } = outcome._tag === "Succeeded" ? outcome.responseMeta : outcome.errorMeta
  if (status !== undefined) span.attribute("http.response.status_code", status)
  return outcome._tag === "Succeeded" ? Exit.void : failed(span, outcome.errorMeta.kind)
}

const failed = (span: Tracer.Span, kind: string) => {
  span.attribute("error.type", kind)
  return failedAs(kind)
}
