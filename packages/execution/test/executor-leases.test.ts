import { HttpClientPort } from "@event-service-agent/platform/http-client-port"
import { settle } from "@event-service-agent/platform/testing"
import { fromMillis } from "@event-service-agent/schemas/time"
import { Effect, Latch } from "effect"
import { describe, expect, it } from "vitest"
import { ATTEMPT_GRACE_MS } from "../src/domain/attempt.ts"
import { allRecorded, callKey, listen, recorded, TIMEOUT_MS, test } from "./fixtures.ts"
import { ANSWER_TIMEOUT_MS, MemoryBroker } from "./memory-link.ts"
import { counting, pass, publish, startDesk, startExecutor, world } from "./remote-fixtures.ts"

const KEY = callKey(1)
const LEASE_MS = TIMEOUT_MS + ATTEMPT_GRACE_MS
/** What comes before the sixth question. */
const FIVE_LOST = Array.from({ length: 5 }, () => "answer lost" as const)
const SIXTH_ASKED_MS = 5 * ANSWER_TIMEOUT_MS + 50 + 100 + 200 + 400 + 800
const UNKNOWN = { _tag: "Failed", errorMeta: { kind: "OutcomeUnknown", sent: "maybe" } }

describe("an executor", () => {
  it(
    "sends nothing when the grant arrives after the lease, and the outcome is unknown",
    test(
      Effect.gen(function* () {
        const { heard } = yield* listen
        const { sent, client } = counting()
        const { broker } = yield* world(client)
        broker.faults.claim.push(...FIVE_LOST, LEASE_MS - SIXTH_ASKED_MS)
        yield* broker.deliver(yield* publish(broker, KEY), 0)
        yield* pass(LEASE_MS + 2_000)
        expect([sent.length, heard.length, broker.asked]).toEqual([0, 2, { claim: 6, report: 0 }])
        expect((yield* recorded(KEY)).outcome).toMatchObject(UNKNOWN)
      })
    )
  )

  it(
    "sends when the grant arrives within the lease, and for no longer than that",
    test(
      Effect.gen(function* () {
        const { broker } = yield* world(HttpClientPort.layerScripted(() => Effect.never))
        broker.faults.claim.push(...FIVE_LOST, LEASE_MS - 2_000 - SIXTH_ASKED_MS)
        yield* broker.deliver(yield* publish(broker, KEY), 0)
        yield* pass(LEASE_MS)
        expect(broker.asked.report).toBe(1)
        // Both ends of the lease are at the same millisecond here.
        const { outcome, evidence } = yield* recorded(KEY)
        expect([outcome, evidence]).toContainEqual(
          expect.objectContaining({
            finishedAt: fromMillis(LEASE_MS),
            errorMeta: expect.objectContaining({ kind: "Timeout" })
          })
        )
      })
    )
  )

  it(
    "asks again when its question waits for the broker: the lease would be over before it is granted",
    test(
      Effect.gen(function* () {
        const { sent, client } = counting()
        const { broker } = yield* world(client)
        broker.faults.claim.push(-60_000)
        yield* broker.deliver(yield* publish(broker, KEY), 0)
        yield* pass(60_000)
        expect(sent).toHaveLength(1)
        expect((yield* recorded(KEY)).outcome).toMatchObject({ _tag: "Succeeded" })
      })
    )
  )

  it(
    "gives a start back when nobody has answered for as long as its attempt could last",
    test(
      Effect.gen(function* () {
        const { sent, client } = counting()
        const { broker, process } = yield* world(client)
        const start = yield* publish(broker, KEY)
        broker.desk = undefined
        yield* broker.deliver(start, 0)
        yield* pass(LEASE_MS + ANSWER_TIMEOUT_MS + 1_000)
        const { claim } = broker.asked
        yield* pass(60_000)
        expect([broker.asked.claim, broker.done.size]).toEqual([claim, 0])
        broker.desk = process.desk
        yield* broker.deliver(start, 0)
        yield* settle
        expect([sent.length, broker.done.size]).toEqual([1, 1])
      })
    )
  )

  it(
    "goes on with a start that its link takes back, once it has asked for the attempt, and forgets it before",
    test(
      Effect.gen(function* () {
        const { sent, client } = counting()
        const { broker } = yield* world()
        yield* startExecutor(broker, client, { inFlightMax: 1 })
        broker.faults.claim.push(1_000)
        yield* Effect.scoped(broker.deliver(yield* publish(broker, KEY), 0))
        const waiting = yield* publish(broker, callKey(2))
        yield* Effect.scoped(broker.deliver(waiting, 0))
        yield* pass(1_000)
        expect((yield* recorded(KEY)).outcome).toMatchObject({ _tag: "Succeeded" })
        expect(broker.asked.claim).toBe(1)
        yield* broker.deliver(waiting, 0)
        yield* settle
        expect(sent).toHaveLength(2)
      })
    )
  )

  it(
    "reports late what took too long, as evidence beside the unknown outcome",
    test(
      Effect.gen(function* () {
        const { heard } = yield* listen
        const { client, latch } = counting(Latch.makeUnsafe())
        const { broker } = yield* world(client)
        yield* broker.deliver(yield* publish(broker, KEY), 0)
        yield* pass(LEASE_MS + 1_000)
        yield* latch.open
        yield* settle
        const { outcome, evidence } = yield* recorded(KEY)
        expect(outcome).toMatchObject(UNKNOWN)
        expect(evidence).toMatchObject({ _tag: "Succeeded" })
        yield* pass(60_000)
        expect([heard.length, broker.asked.report]).toEqual([2, 1])
      })
    )
  )

  it(
    "reports to the next database process what the one before granted",
    test(
      Effect.gen(function* () {
        const { heard } = yield* listen
        const { sent, client, latch } = counting(Latch.makeUnsafe())
        const { broker, process } = yield* world(client)
        yield* broker.deliver(yield* publish(broker, KEY), 0)
        yield* settle
        broker.desk = undefined
        yield* process.stop
        yield* latch.open
        yield* pass(4_000)
        broker.desk = (yield* startDesk()).desk
        yield* pass(10_000)
        expect(heard.map(({ type }) => type)).toEqual(["ExecutionStarted", "ExecutionSucceeded"])
        expect(sent).toHaveLength(1)
        expect((yield* recorded(KEY)).outcome).toMatchObject({ finishedAt: fromMillis(0) })
      })
    )
  )

  it(
    "that dies leaves an unknown outcome, and nobody else sends",
    test(
      Effect.gen(function* () {
        const { heard } = yield* listen
        const [one, other] = [counting(Latch.makeUnsafe()), counting()]
        const { broker } = yield* world()
        const dying = yield* startExecutor(broker, one.client, { drainGraceMs: 0 })
        const start = yield* publish(broker, KEY)
        yield* broker.deliver(start, 0)
        yield* settle
        yield* dying.stop
        yield* startExecutor(broker, other.client)
        yield* broker.deliver(start, 0)
        yield* pass(LEASE_MS - 1)
        expect(heard).toHaveLength(1)
        yield* pass(1_001)
        expect((yield* recorded(KEY)).outcome).toMatchObject(UNKNOWN)
        expect([one.sent.length, other.sent.length, heard.length]).toEqual([1, 0, 2])
      })
    )
  )

  it(
    "that loses an attempt is followed by the agent itself, when the call allows for it",
    test(
      Effect.gen(function* () {
        const { heard } = yield* listen
        const [there, here] = [counting(Latch.makeUnsafe()), counting()]
        const broker = new MemoryBroker()
        broker.desk = (yield* startDesk({}, here.client)).desk
        yield* startExecutor(broker, there.client)
        yield* broker.deliver(yield* publish(broker, KEY, { onUnknown: "resend" }), 0)
        yield* pass(LEASE_MS + 1_000)
        yield* there.latch.open
        yield* pass(1_000)
        expect([there.sent.length, here.sent.length, heard.length]).toEqual([1, 1, 3])
        expect(yield* allRecorded(KEY)).toMatchObject([
          { outcome: UNKNOWN, evidence: { _tag: "Succeeded" } },
          { outcome: { _tag: "Succeeded" }, evidence: null }
        ])
      })
    )
  )
})
