import type { EventBusPort } from "@event-service-agent/platform/event-bus"
import { HttpClientPort } from "@event-service-agent/platform/http-client-port"
import { keyOf, Outbox } from "@event-service-agent/platform/outbox"
import { RequestVault } from "@event-service-agent/platform/request-vault"
import { onTestClock, settle } from "@event-service-agent/platform/testing"
import { Transaction } from "@event-service-agent/platform/transaction"
import type { ServiceCallKey } from "@event-service-agent/schemas/ids"
import { fromMillis } from "@event-service-agent/schemas/time"
import { Effect, Layer, Redacted, References, type Scope } from "effect"
import { TestClock } from "effect/testing"
import { describe, expect, it } from "vitest"
import type { AttemptDesk } from "../src/attempt-desk.ts"
import { ATTEMPT_GRACE_MS, type AttemptOutcome } from "../src/domain/attempt.ts"
import { SWEEP_INTERVAL_MS } from "../src/execution.ts"
import type { AttemptStore } from "../src/ports/attempt-store.ts"
import { RESUMED_REPORT_MS } from "../src/workflows/performing.ts"
import { allRecorded, callKey, listen, OK, order, recorded, TIMEOUT_MS } from "./fixtures.ts"
import { pass, startDesk, withWallClock } from "./remote-fixtures.ts"

type Storage = EventBusPort | Outbox | Transaction | AttemptStore

const KEY = callKey(1)
const LEASE_MS = TIMEOUT_MS + ATTEMPT_GRACE_MS
const GRANT = { attempt: 1, startedAt: fromMillis(0), leaseMs: LEASE_MS, elapsedMs: 0 }
const SUCCEEDED: AttemptOutcome = {
  _tag: "Succeeded",
  sentAt: fromMillis(1),
  finishedAt: fromMillis(2),
  responseMeta: { status: 200, headers: { server: "x" }, bodySnippet: "grüezi", bodyBytes: 7, latencyMs: 1 }
}
const FAILED: AttemptOutcome = {
  _tag: "Failed",
  sentAt: fromMillis(1),
  finishedAt: fromMillis(3),
  errorMeta: { kind: "HttpStatus", message: "The target answered 500", sent: "yes", status: 500 }
}
const UNKNOWN = { _tag: "Failed", errorMeta: { kind: "OutcomeUnknown", sent: "maybe" } }

/** The start of the call, as it was published. */
const startOf = Effect.fnUntraced(function* (key: ServiceCallKey) {
  const outbox = yield* Outbox
  const transaction = yield* Transaction
  const { deliveries } = yield* transaction.run(outbox.deliveriesAfter("execution", 0, 100))
  for (const { message } of deliveries) {
    if (message.type === "StartExecution" && keyOf(message).serviceCallId === key.serviceCallId) return message
  }
  return yield* Effect.die("the call was not ordered")
})

const claim = Effect.fnUntraced(function* (desk: AttemptDesk["Service"], executorId: string) {
  const transaction = yield* Transaction
  const start = yield* startOf(KEY)
  return yield* transaction.run(desk.claim(start, executorId))
})
const regrant = Effect.fnUntraced(function* (desk: AttemptDesk["Service"], executorId: string) {
  const transaction = yield* Transaction
  return yield* transaction.run(desk.regrant(KEY, executorId))
})

/** What executors rely on, over any storage. Each test builds the layer anew. */
export const attemptDeskContract = <LE>(name: string, storage: Layer.Layer<Storage, LE>) => {
  const layer = Layer.merge(storage, RequestVault.layer(Redacted.make(new Uint8Array(32).fill(7))))
  const test = <E>(effect: Effect.Effect<void, E, Storage | RequestVault | Scope.Scope>) =>
    onTestClock(
      Effect.scoped(effect).pipe(Effect.provide(layer), Effect.provideService(References.MinimumLogLevel, "None"))
    )

  describe(`AttemptDesk, ${name}`, () => {
    it(
      "grants an attempt to the first executor that asks, as often as it asks, and to nobody else",
      test(
        Effect.gen(function* () {
          const { heard, next } = yield* listen
          const { desk } = yield* startDesk()
          yield* order(KEY)
          expect(yield* regrant(desk, "a")).toBe(undefined)
          expect(yield* claim(desk, "a")).toEqual(GRANT)
          expect(yield* next).toMatchObject({ type: "ExecutionStarted", version: 1, payload: { attempt: 1 } })
          expect([yield* claim(desk, "b"), yield* regrant(desk, "b")]).toEqual([undefined, undefined])
          yield* TestClock.adjust(70)
          const later = { ...GRANT, elapsedMs: 70 }
          expect([yield* claim(desk, "a"), yield* regrant(desk, "a")]).toEqual([later, later])
          expect(heard).toHaveLength(1)
          expect(yield* recorded(KEY)).toMatchObject({ attempt: { processId: "a", isRemote: true }, outcome: null })
        })
      )
    )

    it(
      "grants the attempt to one of two that ask at once, and keeps nothing of a claim that fails",
      test(
        Effect.gen(function* () {
          const { heard, next } = yield* listen
          const { desk } = yield* startDesk()
          const transaction = yield* Transaction
          yield* order(KEY)
          const start = yield* startOf(KEY)
          const failing = Effect.andThen(desk.claim(start, "failing"), Effect.fail("no"))
          yield* Effect.flip(transaction.run(failing))
          const claims = ["a", "b", "a"].map((executorId) => transaction.run(desk.claim(start, executorId)))
          expect(yield* Effect.all(claims, { concurrency: "unbounded" })).toEqual([GRANT, undefined, GRANT])
          expect((yield* next).type).toBe("ExecutionStarted")
          yield* pass(LEASE_MS - 1)
          expect(heard).toHaveLength(1)
        })
      )
    )

    it(
      "ends the attempt as reported, once, and only for the executor that has it",
      test(
        Effect.gen(function* () {
          const { heard, next } = yield* listen
          const { desk } = yield* startDesk()
          yield* order(KEY)
          expect(yield* desk.report(KEY, 1, "a", SUCCEEDED)).toBe(false)
          yield* claim(desk, "a")
          yield* next
          expect(yield* desk.report(KEY, 1, "b", FAILED)).toBe(false)
          expect(yield* desk.report(KEY, 2, "a", FAILED)).toBe(false)
          expect(yield* desk.report(KEY, 1, "a", SUCCEEDED)).toBe(true)
          const { _tag, ...payload } = SUCCEEDED
          expect(yield* next).toMatchObject({
            type: "ExecutionSucceeded",
            version: 2,
            payload: { attempt: 1, ...payload }
          })
          expect(yield* desk.report(KEY, 1, "a", { ...SUCCEEDED })).toBe(true)
          expect(yield* regrant(desk, "a")).toBe(undefined)
          yield* pass(LEASE_MS)
          expect(heard).toHaveLength(2)
          expect(yield* recorded(KEY)).toMatchObject({ outcome: SUCCEEDED, evidence: null })
        })
      )
    )

    it(
      "ends an attempt without a report as unknown when its lease is over, and keeps the first late report as evidence",
      test(
        Effect.gen(function* () {
          const { heard, next } = yield* listen
          const { desk } = yield* startDesk()
          yield* order(KEY)
          yield* pass(500)
          yield* claim(desk, "a")
          yield* next
          yield* pass(LEASE_MS - 1)
          expect(heard).toHaveLength(1)
          yield* TestClock.adjust(1)
          // The sweep has not run yet.
          expect((yield* recorded(KEY)).outcome).toBe(null)
          expect(yield* regrant(desk, "a")).toBe(undefined)
          yield* pass(500)
          expect(yield* next).toMatchObject({
            type: "ExecutionFailed",
            payload: { sentAt: null, errorMeta: { kind: "OutcomeUnknown", sent: "maybe" } }
          })
          for (const outcome of [SUCCEEDED, FAILED]) expect(yield* desk.report(KEY, 1, "a", outcome)).toBe(true)
          const { outcome, evidence } = yield* recorded(KEY)
          expect(outcome).toMatchObject(UNKNOWN)
          expect(JSON.stringify(outcome)).toContain("did not report in time")
          expect(evidence).toEqual(SUCCEEDED)
          expect(heard).toHaveLength(2)
        })
      )
    )

    for (const [how, aheadMs] of [
      ["back", -86_400_000],
      ["ahead", 86_400_000]
    ] as const) {
      it(
        `ends it when its lease is over, neither earlier nor later, although the clock was set ${how}`,
        test(
          withWallClock((wall) =>
            Effect.gen(function* () {
              const { desk } = yield* startDesk()
              yield* order(KEY)
              yield* claim(desk, "a")
              wall.aheadMs = aheadMs
              yield* pass(LEASE_MS - 1)
              expect((yield* recorded(KEY)).outcome).toBe(null)
              expect(yield* regrant(desk, "a")).toEqual({ ...GRANT, elapsedMs: LEASE_MS - 1 })
              yield* pass(1_001)
              expect((yield* recorded(KEY)).outcome).toMatchObject(UNKNOWN)
            })
          )
        )
      )
    }

    it(
      "takes the report that comes after a restart, and grants what is left of the lease",
      test(
        Effect.gen(function* () {
          const first = yield* startDesk({ processId: "first" })
          yield* order(KEY)
          yield* claim(first.desk, "a")
          yield* pass(4_000)
          yield* first.stop
          yield* pass(2_000)
          const { desk } = yield* startDesk({ processId: "second" })
          yield* pass(1_000)
          expect(yield* regrant(desk, "a")).toEqual({ ...GRANT, elapsedMs: 7_000 })
          expect(yield* regrant(desk, "b")).toBe(undefined)
          expect(yield* desk.report(KEY, 1, "a", SUCCEEDED)).toBe(true)
          expect((yield* recorded(KEY)).outcome).toEqual(SUCCEEDED)
        })
      )
    )

    it(
      "ends it after a restart when the rest of its lease is over",
      test(
        Effect.gen(function* () {
          const first = yield* startDesk({ processId: "first" })
          yield* order(KEY)
          yield* claim(first.desk, "a")
          yield* pass(4_000)
          yield* first.stop
          yield* startDesk({ processId: "second" })
          yield* pass(LEASE_MS - 4_001)
          expect((yield* recorded(KEY)).outcome).toBe(null)
          yield* pass(1_001)
          expect((yield* recorded(KEY)).outcome).toMatchObject(UNKNOWN)
        })
      )
    )

    it(
      "ends it soon after the next start when its lease is over by then, if its executor says nothing",
      test(
        Effect.gen(function* () {
          const first = yield* startDesk({ processId: "first" })
          yield* order(KEY)
          yield* claim(first.desk, "a")
          yield* first.stop
          yield* pass(LEASE_MS)
          yield* startDesk({ processId: "second" })
          yield* pass(RESUMED_REPORT_MS - 1)
          expect((yield* recorded(KEY)).outcome).toBe(null)
          yield* pass(SWEEP_INTERVAL_MS + 1)
          expect((yield* recorded(KEY)).outcome).toMatchObject(UNKNOWN)
        })
      )
    )

    it(
      "lets the database process send a second time what an executor lost, and keeps the first result as evidence",
      test(
        Effect.gen(function* () {
          let sends = 0
          const { heard, next } = yield* listen
          const here = HttpClientPort.layerScripted(() =>
            Effect.as(
              Effect.sync(() => ++sends),
              OK
            )
          )
          const { desk } = yield* startDesk({ processId: "here" }, here)
          yield* order(KEY, { onUnknown: "resend" })
          yield* claim(desk, "a")
          yield* pass(LEASE_MS - 1)
          expect(sends).toBe(0)
          yield* pass(1_001)
          for (const [type, attempt] of [
            ["Started", 1],
            ["Started", 2],
            ["Succeeded", 2]
          ] as const) {
            expect(yield* next).toMatchObject({ type: `Execution${type}`, payload: { attempt } })
          }
          expect(yield* claim(desk, "a")).toBe(undefined)
          expect(yield* desk.report(KEY, 1, "a", FAILED)).toBe(true)
          for (const nobody of ["a", "here"]) expect(yield* desk.report(KEY, 2, nobody, FAILED)).toBe(false)
          yield* settle
          expect([sends, heard.length]).toEqual([1, 3])
          expect(yield* allRecorded(KEY)).toMatchObject([
            { attempt: { sealedForResend: null }, outcome: UNKNOWN, evidence: FAILED },
            { attempt: { processId: "here", isRemote: false }, outcome: { _tag: "Succeeded" }, evidence: null }
          ])
        })
      )
    )
  })
}
