import { HttpClientPort } from "@event-service-agent/platform/http-client-port"
import { RequestVault } from "@event-service-agent/platform/request-vault"
import { fromMillis } from "@event-service-agent/schemas/time"
import { Clock, Effect, Exit, Fiber, Latch, Scope } from "effect"
import { TestClock } from "effect/testing"
import { describe, expect, it } from "vitest"
import { ATTEMPT_GRACE_MS } from "../src/domain/attempt.ts"
import { DRAIN_GRACE_MS } from "../src/execution.ts"
import {
  callKey,
  type LogLines,
  listen,
  logTo,
  OK,
  order,
  recorded,
  start,
  stuckClient,
  TIMEOUT_MS,
  test
} from "./fixtures.ts"

const KEY = callKey(1)
const DEADLINE_MS = TIMEOUT_MS + ATTEMPT_GRACE_MS
const UNKNOWN = {
  type: "ExecutionFailed",
  payload: { sentAt: null, errorMeta: { kind: "OutcomeUnknown", sent: "maybe" } }
}

/** Gives every fiber its turn each 50 ms, as real time would. */
const stepwise = (millis: number) => Effect.repeat(TestClock.adjust(50), { times: millis / 50 - 1 })

/** A vault that opens requests only once the latch is open. */
const slowVault = (latch: Latch.Latch) =>
  Effect.map(RequestVault, (vault) =>
    RequestVault.of({ ...vault, open: (key, sealed) => Effect.andThen(latch.await, vault.open(key, sealed)) })
  )

describe("an attempt without an outcome", () => {
  it(
    "ends as unknown at its deadline, and a later result is kept as evidence",
    test(
      Effect.gen(function* () {
        const latch = Latch.makeUnsafe()
        const { heard, next } = yield* listen
        yield* start(stuckClient(() => Effect.as(latch.await, OK)))
        yield* order(KEY)
        yield* next
        yield* TestClock.adjust(DEADLINE_MS - 1)
        expect(heard).toHaveLength(1)
        yield* TestClock.adjust(1)
        const ended = yield* next
        expect(ended).toMatchObject(UNKNOWN)
        expect(JSON.stringify(ended.payload)).toContain("did not end in time")

        yield* latch.open
        yield* TestClock.adjust("1 minute")
        expect(heard).toHaveLength(2)
        const { outcome, evidence } = yield* recorded(KEY)
        expect(outcome).toMatchObject({ _tag: "Failed", finishedAt: fromMillis(DEADLINE_MS) })
        expect(evidence).toMatchObject({ _tag: "Succeeded" })
      })
    )
  )

  it("ends as unknown when the client breaks, and the log tells why", () => {
    const log: LogLines = []
    return test(
      Effect.gen(function* () {
        const bug = new Error("a bug")
        const { next } = yield* listen
        yield* start(HttpClientPort.layerScripted(() => Effect.die(bug)))
        yield* order(KEY)
        yield* next
        yield* TestClock.adjust(DEADLINE_MS)
        expect(yield* next).toMatchObject(UNKNOWN)
        expect(log.map(([message]) => message)).toContainEqual(["an attempt failed, the sweep will end it", bug])
      }).pipe(logTo(log))
    )()
  })

  it(
    "ends as unknown at the next start, when the process that claimed it is gone",
    test(
      Effect.gen(function* () {
        const { heard, next } = yield* listen
        const first = yield* start(
          stuckClient(() => Effect.never),
          { drainGraceMs: 0 }
        )
        yield* order(KEY)
        yield* next
        yield* Scope.close(first, Exit.void)
        expect((yield* recorded(KEY)).outcome).toBe(null)

        yield* start(stuckClient(() => Effect.never))
        const ended = yield* next
        expect(ended).toMatchObject(UNKNOWN)
        expect(JSON.stringify(ended.payload)).toContain("The agent stopped")
        yield* order(KEY)
        yield* TestClock.adjust("1 minute")
        expect(heard).toHaveLength(2)
      })
    )
  )

  it(
    "is not ended by a clock that jumps ahead while its request is under way",
    test(
      Effect.gen(function* () {
        let aheadMs = 0
        const latch = Latch.makeUnsafe()
        const { heard, next } = yield* listen
        const testClock = yield* TestClock.testClockWith(Effect.succeed)
        const wallClock: Clock.Clock = {
          ...testClock,
          currentTimeMillisUnsafe: () => testClock.currentTimeMillisUnsafe() + aheadMs,
          currentTimeMillis: Effect.map(testClock.currentTimeMillis, (millis) => millis + aheadMs)
        }
        yield* start(stuckClient(() => Effect.as(latch.await, OK))).pipe(Effect.provideService(Clock.Clock, wallClock))
        yield* order(KEY)
        yield* next
        aheadMs = 86_400_000
        yield* TestClock.adjust(DEADLINE_MS - 1)
        expect(heard).toHaveLength(1)
        yield* latch.open
        expect((yield* next).type).toBe("ExecutionSucceeded")
      })
    )
  )

  it(
    "is sent until just before its deadline",
    test(
      Effect.gen(function* () {
        const latch = Latch.makeUnsafe()
        const { next } = yield* listen
        yield* start(HttpClientPort.layerScripted(() => Effect.succeed(OK))).pipe(
          Effect.provideServiceEffect(RequestVault, slowVault(latch))
        )
        yield* order(KEY)
        yield* next
        yield* TestClock.adjust(DEADLINE_MS - 1)
        yield* latch.open
        expect((yield* next).type).toBe("ExecutionSucceeded")
      })
    )
  )

  it(
    "is not sent past its deadline, even when the clock was set back",
    test(
      Effect.gen(function* () {
        let sends = 0
        const latch = Latch.makeUnsafe()
        const { heard, next } = yield* listen
        yield* start(HttpClientPort.layerScripted(() => Effect.sync(() => ++sends).pipe(Effect.as(OK)))).pipe(
          Effect.provideServiceEffect(RequestVault, slowVault(latch))
        )
        yield* order(KEY)
        yield* next
        yield* TestClock.adjust(DEADLINE_MS - 1)
        yield* TestClock.setTime(0)
        yield* TestClock.adjust(1)
        yield* latch.open
        yield* TestClock.adjust("1 minute")
        expect(yield* next).toMatchObject(UNKNOWN)
        expect([sends, heard.length]).toEqual([0, 2])
      })
    )
  )
})

describe("a result", () => {
  it("outlasts storage that refuses beyond the deadline, and the sweep leaves the attempt to it", () => {
    let isDown = false
    return test(
      Effect.gen(function* () {
        const latch = Latch.makeUnsafe()
        const { heard, next } = yield* listen
        yield* start(stuckClient(() => Effect.as(latch.await, OK)))
        yield* order(KEY)
        yield* next
        isDown = true
        yield* stepwise(100)
        yield* latch.open
        yield* stepwise(60_800)
        isDown = false
        // The sweep runs at 61,000 ms, the next try to record at 61,100.
        yield* stepwise(150)
        expect((yield* recorded(KEY)).outcome).toBe(null)
        yield* stepwise(50)
        expect(yield* next).toMatchObject({ type: "ExecutionSucceeded", payload: { finishedAt: fromMillis(100) } })
        expect(heard).toHaveLength(2)
      }),
      () => {
        if (isDown) throw new Error("disk full")
      }
    )()
  })
})

describe("a stop", () => {
  it(
    "takes no new work, and waits for the outcome of a send that runs",
    test(
      Effect.gen(function* () {
        const latch = Latch.makeUnsafe()
        const { heard, next } = yield* listen
        const scope = yield* start(
          stuckClient(() => Effect.as(latch.await, OK)),
          { processId: "first" }
        )
        yield* order(KEY)
        yield* next
        const stop = yield* Effect.forkChild(Scope.close(scope, Exit.void))
        yield* TestClock.adjust(DRAIN_GRACE_MS - 1)
        yield* order(callKey(2))
        yield* TestClock.adjust(0)
        expect([heard.length, stop.pollUnsafe()]).toEqual([1, undefined])
        yield* latch.open
        yield* Fiber.join(stop)
        expect(yield* next).toMatchObject({ type: "ExecutionSucceeded", aggregateId: KEY.serviceCallId })

        yield* start(
          stuckClient(() => Effect.as(latch.await, OK)),
          { processId: "second" }
        )
        expect(yield* next).toMatchObject({ type: "ExecutionStarted", aggregateId: callKey(2).serviceCallId })
      })
    )
  )

  it("lets a call be sent whose claim is just becoming durable", () => {
    let commits = Number.NEGATIVE_INFINITY
    let stop = () => {}
    return test(
      Effect.gen(function* () {
        const { next } = yield* listen
        const scope = yield* start(HttpClientPort.layerScripted(() => Effect.succeed(OK)))
        const fork = Effect.runForkWith(yield* Effect.context())
        yield* TestClock.adjust(1)
        commits = 0
        stop = () => fork(Scope.close(scope, Exit.void))
        yield* order(KEY)
        yield* next
        expect((yield* next).type).toBe("ExecutionSucceeded")
      }),
      () => {
        // The order is the first commit, the claim the second.
        if (++commits === 2) stop()
      }
    )()
  })

  it(
    "cuts off a send that takes too long, and records nothing of it",
    test(
      Effect.gen(function* () {
        const { heard, next } = yield* listen
        const scope = yield* start(stuckClient(() => Effect.never))
        yield* order(KEY)
        yield* next
        const stop = yield* Effect.forkChild(Scope.close(scope, Exit.void))
        yield* TestClock.adjust(DRAIN_GRACE_MS)
        yield* Fiber.join(stop)
        expect((yield* recorded(KEY)).outcome).toBe(null)
        expect(heard).toHaveLength(1)
      })
    )
  )
})
