import { Effect, Metric } from "effect"
import { isEnded, type ServiceCall } from "./domain/service-call.ts"
import { STATUSES } from "./ports/service-call-reader.ts"

/** Seconds: what is on time is told apart to the millisecond, what is late to the minute. */
const LATENESS_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600, 3_600]

const transitions = Metric.counter("esa_service_call_transitions_total", {
  description: "State changes of service calls, by the state they led to",
  incremental: true
})
const transitionTo = new Map<string, typeof transitions>(
  STATUSES.map((to) => [to, Metric.withAttributes(transitions, { to })])
)
const lateness = Metric.histogram("esa_service_call_lateness_seconds", {
  description: "From the later of due time and acceptance to the last instant before the send",
  boundaries: LATENESS_SECONDS
})

/** So that the first change is seen as one: a series that begins at 1 has not grown. */
export const beginCounting = Effect.forEach(transitionTo.values(), (counter) => Metric.update(counter, 0), {
  discard: true
})

/** Counts the states that a call has gone through, and how late it was if it has ended. */
export const countTransitions = Effect.fnUntraced(function* (call: ServiceCall, states: ReadonlyArray<string>) {
  for (const state of states) {
    const counter = transitionTo.get(state)
    if (counter !== undefined) yield* Metric.update(counter, 1)
  }
  if (isEnded(call) && states.includes(call._tag) && "latenessMs" in call && call.latenessMs !== null) {
    yield* Metric.update(lateness, call.latenessMs / 1_000)
  }
})
