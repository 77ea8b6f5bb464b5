import { HttpClientPort, SendFailed } from "@event-service-agent/platform/http-client-port"
import { settle } from "@event-service-agent/platform/testing"
import { fromMillis } from "@event-service-agent/schemas/time"
import { Effect, Fiber, Latch } from "effect"
import { describe, expect, it } from "vitest"
import { ATTEMPT_GRACE_MS } from "../src/domain/attempt.ts"
import { DRAIN_GRACE_MS } from "../src/executor.ts"
import { CORRELATION_ID, callKey, type LogLines, listen, logTo, OK, recorded, TIMEOUT_MS, test } from "./fixtures.ts"
import { ANSWER_TIMEOUT_MS } from "./memory-link.ts"
import { counting, pass, publish, startExecutor, wallClock, world } from "./remote-fixtures.ts"

const KEY = callKey(1)
const LEASE_MS = TIMEOUT_MS + ATTEMPT_GRACE_MS
const UNKNOWN = { _tag: "Failed", errorMeta: { kind: "OutcomeUnknown", sent: "maybe" } }

describe("an executor", () => {
  it(
    "performs a call, and the agent records what it reports",
    test(
      Effect.gen(function* () {
        const { heard, next } = yield* listen
        const { sent, client } = counting()
        const { broker } = yield* world(client)
        const start = yield* publish(broker, KEY)
        yield* broker.deliver(start, 0)
        expect(yield* next).toMatchObject({ type: "ExecutionStarted", payload: { attempt: 1 } })
        expect(yield* next).toMatchObject({
          type: "ExecutionSucceeded",
          payload: { attempt: 1, sentAt: fromMillis(0) }
        })
        expect(sent.map(({ headers }) => headers)).toEqual([{ "Idempotency-Key": KEY.serviceCallId }])
        yield* pass(LEASE_MS)
        expect(heard).toHaveLength(2)
        expect([...broker.done]).toEqual([start?.seq])
        expect(broker.asked).toEqual({ claim: 1, report: 1 })
      })
    )
  )

  for (const fault of ["question lost", "answer lost"] as const) {
    it(
      `sends once when the ${fault.replace(" ", " about its attempt is ")}`,
      test(
        Effect.gen(function* () {
          const { heard } = yield* listen
          const { sent, client } = counting()
          const { broker } = yield* world(client)
          broker.faults.claim.push(fault, fault)
          yield* broker.deliver(yield* publish(broker, KEY), 0)
          yield* pass(2 * ANSWER_TIMEOUT_MS + 1_000)
          expect(heard.map(({ type }) => type)).toEqual(["ExecutionStarted", "ExecutionSucceeded"])
          expect([sent.length, broker.asked.claim]).toEqual([1, 3])
        })
      )
    )

    it(
      `reports again when the ${fault.replace(" ", " of its report is ")}, until it is confirmed`,
      test(
        Effect.gen(function* () {
          const { heard } = yield* listen
          const { sent, client } = counting()
          const { broker } = yield* world(client)
          broker.faults.report.push(fault, "later", fault)
          yield* broker.deliver(yield* publish(broker, KEY), 0)
          yield* pass(60_000)
          expect(heard.map(({ type }) => type)).toEqual(["ExecutionStarted", "ExecutionSucceeded"])
          expect([sent.length, broker.asked.report]).toEqual([1, 4])
          expect((yield* recorded(KEY)).evidence).toBe(null)
        })
      )
    )
  }

  it(
    "sends once, however often its start comes again: while it asks, sends and reports, and after that",
    test(
      Effect.gen(function* () {
        const { heard } = yield* listen
        const { sent, client, latch } = counting(Latch.makeUnsafe())
        const { broker } = yield* world(client)
        broker.faults.claim.push(1_000)
        broker.faults.report.push("question lost")
        const start = yield* publish(broker, KEY)
        const deliverTwice = Effect.andThen(broker.deliver(start, 0), broker.deliver(start, 0))
        yield* deliverTwice
        yield* settle
        expect(broker.done.size).toBe(0)
        yield* pass(1_000)
        expect([broker.done.size, sent.length]).toEqual([1, 1])
        yield* deliverTwice
        yield* latch.open
        yield* settle
        yield* deliverTwice
        yield* pass(ANSWER_TIMEOUT_MS + 1_000)
        yield* deliverTwice
        yield* pass(LEASE_MS)
        expect(heard.map(({ type }) => type)).toEqual(["ExecutionStarted", "ExecutionSucceeded"])
        expect([sent.length, broker.asked.claim]).toEqual([1, 3])
      })
    )
  )

  it(
    "leaves a start to the other that was first, and takes one that had to wait",
    test(
      Effect.gen(function* () {
        const { heard } = yield* listen
        const [one, other] = [counting(), counting()]
        const { broker } = yield* world(one.client, other.client)
        const start = yield* publish(broker, KEY)
        yield* Effect.all([broker.deliver(start, 0), broker.deliver(start, 1)], { concurrency: 2 })
        yield* settle
        expect([one.sent.length, other.sent.length].sort()).toEqual([0, 1])
        for (const executor of [0, 1]) {
          broker.done.clear()
          yield* broker.deliver(start, executor)
          expect([...broker.done]).toEqual([start?.seq])
        }

        broker.faults.claim.push("later")
        const second = yield* publish(broker, callKey(2))
        yield* broker.deliver(second, 0)
        yield* settle
        expect([...broker.done]).toEqual([start?.seq])
        yield* broker.deliver(second, 1)
        yield* settle
        expect(one.sent.length + other.sent.length).toBe(2)
        expect([...broker.done]).toEqual([start?.seq, second?.seq])
        expect(heard).toHaveLength(4)
      })
    )
  )

  it(
    "has no more calls in flight than it may, and leaves the others to whoever is free",
    test(
      Effect.gen(function* () {
        const [one, other] = [counting(Latch.makeUnsafe()), counting()]
        const { broker } = yield* world()
        yield* startExecutor(broker, one.client, { inFlightMax: 2 })
        yield* startExecutor(broker, other.client)
        for (let n = 0; n < 4; n++) yield* broker.deliver(yield* publish(broker, callKey(n)), 0)
        yield* pass(1_000)
        expect([one.sent.length, broker.asked.claim]).toEqual([2, 2])
        yield* broker.deliver(broker.starts[3], 1)
        yield* settle
        expect(other.sent).toHaveLength(1)
        yield* one.latch.open
        yield* settle
        expect([one.sent.length, broker.done.size]).toEqual([3, 4])
      })
    )
  )

  it(
    "asks and reports again when the link hangs",
    test(
      Effect.gen(function* () {
        const { heard } = yield* listen
        const { sent, client } = counting()
        const { broker } = yield* world(client)
        broker.faults.claim.push(3_600_000)
        broker.faults.report.push(3_600_000)
        yield* broker.deliver(yield* publish(broker, KEY), 0)
        yield* pass(LEASE_MS)
        expect(heard.map(({ type }) => type)).toEqual(["ExecutionStarted", "ExecutionSucceeded"])
        expect([sent.length, broker.asked]).toEqual([1, { claim: 2, report: 2 }])
      })
    )
  )

  it(
    "says of a request that was too large for the broker that nothing was sent",
    test(
      Effect.gen(function* () {
        const { sent, client } = counting()
        const { broker } = yield* world(client)
        const start = yield* publish(broker, KEY)
        if (start === undefined) return yield* Effect.die("nothing was published")
        const message = { ...start.message, payload: { ...start.message.payload, sealed: null } }
        yield* broker.deliver({ ...start, message, isSealedOmitted: true }, 0)
        yield* settle
        const { outcome } = yield* recorded(KEY)
        expect(outcome).toMatchObject({ sentAt: null, errorMeta: { kind: "RequestUnreadable", sent: "no" } })
        expect(JSON.stringify(outcome)).toContain("larger than the broker's max_payload")
        expect(sent).toEqual([])
      })
    )
  )

  it(
    "reports what the client says",
    test(
      Effect.gen(function* () {
        const refused = new SendFailed({ kind: "ConnectionFailed", sent: "no", message: "Refused", sentAt: null })
        const { broker } = yield* world(HttpClientPort.layerScripted(() => Effect.fail(refused)))
        yield* broker.deliver(yield* publish(broker, KEY), 0)
        yield* settle
        expect((yield* recorded(KEY)).outcome).toMatchObject({
          sentAt: null,
          errorMeta: { kind: "ConnectionFailed", sent: "no" }
        })
      })
    )
  )

  it(
    "has its times as the agent's clock would have them",
    test(
      Effect.gen(function* () {
        const { broker } = yield* world()
        const client = HttpClientPort.layerScripted(() => Effect.delay(Effect.succeed(OK), 300))
        yield* startExecutor(broker, client, { clock: yield* wallClock({ aheadMs: 3_600_000 }) })
        broker.faults.claim.push("answer lost")
        yield* broker.deliver(yield* publish(broker, KEY), 0)
        yield* pass(5_000)
        // The answer that was lost, then a pause.
        const sentAt = ANSWER_TIMEOUT_MS + 50
        expect((yield* recorded(KEY)).outcome).toMatchObject({
          sentAt: fromMillis(sentAt),
          finishedAt: fromMillis(sentAt + 300)
        })
      })
    )
  )

  it("says in the log why an outcome is not confirmed yet, once", () => {
    const log: LogLines = []
    return test(
      Effect.gen(function* () {
        const { broker } = yield* world(counting().client)
        broker.faults.report.push("answer lost", "answer lost")
        yield* broker.deliver(yield* publish(broker, KEY), 0)
        yield* pass(10_000)
        const lines = log.filter(([message]) => JSON.stringify(message).includes("not confirmed yet"))
        expect(lines).toEqual([
          [
            ["the outcome is not confirmed yet, it will be reported again", "report: no answer"],
            { ...KEY, attempt: 1, correlationId: CORRELATION_ID }
          ]
        ])
      }).pipe(logTo(log))
    )()
  })

  it("never sends again what a bug struck while it may have been sent, and the log tells why", () => {
    const log: LogLines = []
    const bug = new Error("a bug")
    return test(
      Effect.gen(function* () {
        let sends = 0
        const { heard } = yield* listen
        const client = HttpClientPort.layerScripted(() =>
          Effect.andThen(
            Effect.sync(() => ++sends),
            Effect.die(bug)
          )
        )
        const { broker } = yield* world(client)
        const start = yield* publish(broker, KEY)
        yield* broker.deliver(start, 0)
        yield* settle
        yield* broker.deliver(start, 0)
        yield* pass(LEASE_MS + 1_000)
        expect([sends, heard.length, broker.asked.claim]).toEqual([1, 2, 1])
        expect((yield* recorded(KEY)).outcome).toMatchObject(UNKNOWN)
        expect(log.map(([message]) => message)).toContainEqual(["an attempt failed, the agent will end it", bug])
      }).pipe(logTo(log))
    )()
  })
})

describe("an executor that stops", () => {
  it(
    "takes no new starts, and waits until what it sends is confirmed",
    test(
      Effect.gen(function* () {
        const { client, latch } = counting(Latch.makeUnsafe())
        const { broker } = yield* world()
        const executor = yield* startExecutor(broker, client, { drainGraceMs: DRAIN_GRACE_MS })
        yield* broker.deliver(yield* publish(broker, KEY), 0)
        yield* settle
        const stop = yield* Effect.forkChild(executor.stop)
        yield* settle
        expect(broker.executors).toBe(0)
        broker.faults.report.push("answer lost")
        yield* latch.open
        yield* settle
        expect(stop.pollUnsafe()).toBe(undefined)
        yield* pass(ANSWER_TIMEOUT_MS + 1_000)
        yield* Fiber.join(stop)
        expect((yield* recorded(KEY)).outcome).toMatchObject({ _tag: "Succeeded" })
      })
    )
  )

  it(
    "cuts off what takes longer than it may wait",
    test(
      Effect.gen(function* () {
        const { client } = counting(Latch.makeUnsafe())
        const { broker } = yield* world()
        const executor = yield* startExecutor(broker, client, { drainGraceMs: DRAIN_GRACE_MS })
        yield* broker.deliver(yield* publish(broker, KEY), 0)
        yield* settle
        const stop = yield* Effect.forkChild(executor.stop)
        yield* pass(DRAIN_GRACE_MS - 1)
        expect(stop.pollUnsafe()).toBe(undefined)
        yield* pass(1)
        yield* Fiber.join(stop)
        expect(broker.asked.report).toBe(0)
      })
    )
  )
})
