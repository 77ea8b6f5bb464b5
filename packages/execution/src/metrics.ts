import { FailureKind } from "@event-service-agent/schemas/outcome"
import { Effect, Metric } from "effect"
import { type AttemptOutcome, type OpenAttempt, timeoutMsOf } from "./domain/attempt.ts"

const DURATION_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120]

const attempts = Metric.counter("esa_attempts_total", {
  description: "Ended attempts, by outcome: Succeeded, or the kind of the failure",
  incremental: true
})
const duration = Metric.histogram("esa_attempt_duration_seconds", {
  description: "From the send to the end of the answer; of attempts that timed out, their timeout",
  boundaries: DURATION_SECONDS
})

/** So that the first outcome of a kind is seen as one: a series that begins at 1 has not grown. */
export const beginCounting = Effect.forEach(
  ["Succeeded", ...FailureKind.literals],
  (outcome) => Metric.update(Metric.withAttributes(attempts, { outcome }), 0),
  { discard: true }
)

/** Counts an attempt that has ended, and how long it took: a target that hangs must not look like one nobody calls. */
export const countOutcome = Effect.fnUntraced(function* (attempt: OpenAttempt, outcome: AttemptOutcome) {
  const kind = outcome._tag === "Succeeded" ? "Succeeded" : outcome.errorMeta.kind
  yield* Metric.update(Metric.withAttributes(attempts, { outcome: kind }), 1)
  const tookMs = kind === "Timeout" ? timeoutMsOf(attempt) : latencyMsOf(outcome)
  if (tookMs !== undefined) yield* Metric.update(duration, tookMs / 1_000)
})

const latencyMsOf = (outcome: AttemptOutcome) =>
  outcome._tag === "Succeeded" ? outcome.responseMeta.latencyMs : outcome.errorMeta.latencyMs
