import { HttpClientPort, SendFailed } from "@event-service-agent/platform/http-client-port"
import type { RequestSpec } from "@event-service-agent/schemas/http-request"
import { fromMillis } from "@event-service-agent/schemas/time"
import { Effect, Exit, Latch, Scope } from "effect"
import { TestClock } from "effect/testing"
import { describe, expect, it } from "vitest"
import { ATTEMPT_GRACE_MS } from "../src/domain/attempt.ts"
import { allRecorded, callKey, listen, OK, order, start, stuckClient, TIMEOUT_MS, test } from "./fixtures.ts"

const KEY = callKey(1)
const DEADLINE_MS = TIMEOUT_MS + ATTEMPT_GRACE_MS
const RESEND = { onUnknown: "resend" } as const
const hanging = HttpClientPort.layerScripted(() => Effect.never)

/** Starts the module, orders the call and stops the module while the request is under way, as a crash would. */
const loseFirstAttempt = Effect.fnUntraced(function* () {
  const scope = yield* start(
    stuckClient(() => Effect.never),
    { processId: "first", drainGraceMs: 0 }
  )
  yield* order(KEY, RESEND)
  yield* TestClock.adjust(1)
  yield* Scope.close(scope, Exit.void)
})

describe("a call that would rather be sent twice than have an unknown outcome", () => {
  it(
    "gets a second attempt with the same idempotency key when the first is lost in a crash, and one outcome",
    test(
      Effect.gen(function* () {
        const requests: Array<RequestSpec> = []
        const { heard, next } = yield* listen
        yield* loseFirstAttempt()
        expect(yield* next).toMatchObject({ type: "ExecutionStarted", version: 1, payload: { attempt: 1 } })

        yield* start(
          HttpClientPort.layerScripted((request) => Effect.sync(() => requests.push(request)).pipe(Effect.as(OK)))
        )
        expect(yield* next).toMatchObject({ type: "ExecutionStarted", version: 3, payload: { attempt: 2 } })
        expect(yield* next).toMatchObject({ type: "ExecutionSucceeded", version: 4, payload: { attempt: 2 } })
        yield* order(KEY, RESEND)
        yield* TestClock.adjust("1 minute")
        expect(heard).toHaveLength(3)
        expect(requests.map(({ headers }) => headers)).toEqual([{ "Idempotency-Key": KEY.serviceCallId }])
        expect(yield* allRecorded(KEY)).toMatchObject([
          { attempt: { number: 1, sealedForResend: null }, outcome: { errorMeta: { kind: "OutcomeUnknown" } } },
          { attempt: { number: 2, sealedForResend: null }, outcome: { _tag: "Succeeded" } }
        ])
      })
    )
  )

  it(
    "gets one at the deadline, too, and the late result of the first is evidence only",
    test(
      Effect.gen(function* () {
        let sends = 0
        const first = Latch.makeUnsafe()
        const { heard, next } = yield* listen
        yield* start(
          stuckClient(() => (++sends === 1 ? Effect.as(first.await, OK) : Effect.succeed({ ...OK, status: 503 })))
        )
        yield* order(KEY, RESEND)
        yield* TestClock.adjust(DEADLINE_MS)
        expect([(yield* next).type, (yield* next).type]).toEqual(["ExecutionStarted", "ExecutionStarted"])
        expect(yield* next).toMatchObject({
          type: "ExecutionFailed",
          payload: { errorMeta: { status: 503, sent: "yes" } }
        })
        yield* first.open
        yield* TestClock.adjust("1 minute")
        expect([sends, heard.length]).toEqual([2, 3])
        expect(yield* allRecorded(KEY)).toMatchObject([
          { evidence: { _tag: "Succeeded" } },
          { outcome: { _tag: "Failed" }, evidence: null }
        ])
      })
    )
  )

  it(
    "is not sent a third time",
    test(
      Effect.gen(function* () {
        const { heard, next } = yield* listen
        yield* loseFirstAttempt()
        const second = yield* start(hanging, { processId: "second", drainGraceMs: 0 })
        expect([(yield* next).type, (yield* next).type]).toEqual(["ExecutionStarted", "ExecutionStarted"])
        yield* Scope.close(second, Exit.void)
        yield* start(
          HttpClientPort.layerScripted(() => Effect.die("a third send")),
          { processId: "third" }
        )
        yield* TestClock.adjust("1 minute")
        const end = yield* next
        expect(end).toMatchObject({
          type: "ExecutionFailed",
          payload: { attempt: 2, sentAt: null, errorMeta: { kind: "OutcomeUnknown", sent: "maybe" } }
        })
        expect(JSON.stringify(end)).toContain("twice, once or not at all")
        expect(heard).toHaveLength(3)
      })
    )
  )

  it(
    "says that the target may have got the first request, when the second did not leave",
    test(
      Effect.gen(function* () {
        const { next } = yield* listen
        yield* loseFirstAttempt()
        const refused = new SendFailed({ kind: "ConnectionFailed", message: "Refused", sent: "no", sentAt: null })
        yield* start(HttpClientPort.layerScripted(() => Effect.fail(refused)))
        yield* next
        yield* next
        expect(yield* next).toMatchObject({ payload: { errorMeta: { kind: "ConnectionFailed", sent: "maybe" } } })
        expect((yield* allRecorded(KEY))[1]?.outcome).toMatchObject({ errorMeta: { sent: "no" } })
      })
    )
  )

  it(
    "is sent once when its outcome is known, whatever it is",
    test(
      Effect.gen(function* () {
        let sends = 0
        const { heard, next } = yield* listen
        const count = Effect.sync(() => ++sends)
        yield* start(HttpClientPort.layerScripted(() => Effect.andThen(count, Effect.never)))
        yield* order(KEY, RESEND)
        yield* next
        yield* TestClock.adjust(TIMEOUT_MS)
        expect(yield* next).toMatchObject({
          payload: { finishedAt: fromMillis(TIMEOUT_MS), errorMeta: { kind: "Timeout" } }
        })
        yield* TestClock.adjust("1 minute")
        expect([sends, heard.length]).toEqual([1, 2])
      })
    )
  )
})
