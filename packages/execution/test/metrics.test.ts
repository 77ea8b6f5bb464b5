import { HttpClientPort, SendFailed } from "@event-service-agent/platform/http-client-port"
import { Effect, Metric } from "effect"
import { TestClock } from "effect/testing"
import { describe, expect, it } from "vitest"
import { callKey, listen, OK, order, start, TIMEOUT_MS, test } from "./fixtures.ts"

type Script = Parameters<typeof HttpClientPort.layerScripted>[0]

const TIMEOUT_SECONDS = TIMEOUT_MS / 1_000

/** The storage's writer counts, so it is the registry of the whole process. */
const measured = Effect.gen(function* () {
  const metrics = yield* Metric.snapshot
  const duration = metrics.find(({ id }) => id === "esa_attempt_duration_seconds")
  return duration?.type === "Histogram" ? duration.state : { count: 0, sum: 0 }
})

/** Runs a call to its end, and expects that its attempt was measured so, or not at all. */
const measures = (script: Script, seconds: number | undefined) =>
  test(
    Effect.gen(function* () {
      const { next } = yield* listen
      const before = yield* measured
      yield* start(HttpClientPort.layerScripted(script))
      yield* order(callKey(1))
      expect((yield* next).type).toBe("ExecutionStarted")
      yield* TestClock.adjust(TIMEOUT_MS)
      expect((yield* next).type).not.toBe("ExecutionStarted")
      const after = yield* measured
      expect(after.count - before.count).toBe(seconds === undefined ? 0 : 1)
      expect(after.sum - before.sum).toBeCloseTo(seconds ?? 0)
    })
  )
const failing = (kind: "ConnectionFailed" | "Timeout") =>
  Effect.fail(new SendFailed({ kind, sent: "no", message: "nothing was sent", sentAt: null }))

describe("the time of attempts", () => {
  it(
    "has those that were answered",
    measures(() => Effect.delay(Effect.succeed(OK), 500), 0.5)
  )
  it(
    "has those of targets that hang, with their timeout",
    measures(() => Effect.never, TIMEOUT_SECONDS)
  )
  it(
    "has those that hang before anything is sent",
    measures(() => failing("Timeout"), TIMEOUT_SECONDS)
  )
  it(
    "has none that end early without an answer",
    measures(() => failing("ConnectionFailed"), undefined)
  )
})
