import { Effect } from "effect"
import type { AttemptOutcome, OpenAttempt } from "../domain/attempt.ts"
import { answeredInTime, ExecutorLink } from "../ports/executor-link.ts"

/** Between two reports of the same outcome. */
export const REPORT_AGAIN_FIRST_MS = 100
export const REPORT_AGAIN_MAX_MS = 1_000

/** Reports what became of the attempt, again and again until the agent says that it is durable. */
export const reportUntilConfirmed = Effect.fnUntraced(function* (attempt: OpenAttempt, outcome: AttemptOutcome) {
  const { key, number, processId, traceparent } = attempt
  const link = yield* ExecutorLink
  const traced = traceparent === undefined ? {} : { traceparent }
  const report = answeredInTime(link.report({ ...key, attempt: number, executorId: processId, outcome, ...traced }))
  for (let pauseMs = REPORT_AGAIN_FIRST_MS; ; pauseMs = Math.min(2 * pauseMs, REPORT_AGAIN_MAX_MS)) {
    const answer = yield* Effect.catch(report, (error) =>
      Effect.succeed({ _tag: "Later", why: error.message } as const)
    )
    if (answer._tag === "Confirmed") return
    if (answer._tag === "Refused") {
      return yield* Effect.logError(
        "the agent does not know of an attempt that it granted: was an older backup restored?"
      )
    }
    if (pauseMs === REPORT_AGAIN_FIRST_MS) {
      const why = "why" in answer ? answer.why : "the agent cannot store it at the moment"
      yield* Effect.logWarning("the outcome is not confirmed yet, it will be reported again", why)
    }
    yield* Effect.sleep(pauseMs)
  }
})
