import { Outbox } from "@event-service-agent/platform/outbox"
import { settle } from "@event-service-agent/platform/testing"
import { Transaction } from "@event-service-agent/platform/transaction"
import { fromMillis } from "@event-service-agent/schemas/time"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { describe, expect, it } from "vitest"
import type { AttemptDesk } from "../src/attempt-desk.ts"
import { ATTEMPT_GRACE_MS, type AttemptOutcome } from "../src/domain/attempt.ts"
import { REFUSED_REPORT_MS } from "../src/workflows/performing.ts"
import { attemptDeskContract } from "./attempt-desk.contract.ts"
import { callKey, order, recorded, storage, TIMEOUT_MS, test } from "./fixtures.ts"
import { pass, startDesk } from "./remote-fixtures.ts"

attemptDeskContract("in memory", storage())

const KEY = callKey(1)
const LEASE_MS = TIMEOUT_MS + ATTEMPT_GRACE_MS
const RESULT: AttemptOutcome = {
  _tag: "Failed",
  sentAt: fromMillis(1),
  finishedAt: fromMillis(2),
  errorMeta: { kind: "HttpStatus", message: "The target answered 500", sent: "yes", status: 500 }
}

const claim = Effect.fnUntraced(function* (desk: AttemptDesk["Service"], key = KEY, timeoutMs = TIMEOUT_MS) {
  const outbox = yield* Outbox
  const transaction = yield* Transaction
  yield* order(key, { timeoutMs })
  const [start] = (yield* transaction.run(outbox.deliveriesAfter("execution", 0, 1))).deliveries
  if (start?.message.type !== "StartExecution") return yield* Effect.die("the call was not ordered")
  yield* transaction.run(Effect.andThen(outbox.settle("execution", start.seq), desk.claim(start.message, "a")))
})

/** The storage refuses a report shortly before the lease is over, until the lease is over. */
const refused = Effect.fnUntraced(function* (disk: { isDown: boolean }, reportedBy: string) {
  const { desk } = yield* startDesk()
  yield* claim(desk)
  yield* pass(LEASE_MS - 1_000)
  disk.isDown = true
  expect(yield* Effect.flip(desk.report(KEY, 1, reportedBy, RESULT))).toMatchObject({ _tag: "StorageError" })
  yield* pass(1_000)
  disk.isDown = false
  return desk
})

const onDisk = <E>(use: (disk: { isDown: boolean }) => Parameters<typeof test<E>>[0]) => {
  const disk = { isDown: false }
  return test(use(disk), () => {
    if (disk.isDown) throw new Error("disk full")
  })
}

describe("a report that the storage refuses", () => {
  it(
    "is waited for beyond the lease, and recorded when it comes again",
    onDisk((disk) =>
      Effect.gen(function* () {
        const desk = yield* refused(disk, "a")
        yield* pass(REFUSED_REPORT_MS - 1_001)
        expect((yield* recorded(KEY)).outcome).toBe(null)
        expect(yield* desk.report(KEY, 1, "a", RESULT)).toBe(true)
        expect(yield* recorded(KEY)).toMatchObject({ outcome: RESULT, evidence: null })
      })
    )
  )

  it(
    "does not shorten the lease",
    onDisk((disk) =>
      Effect.gen(function* () {
        const { desk } = yield* startDesk()
        yield* claim(desk, KEY, 2 * REFUSED_REPORT_MS)
        disk.isDown = true
        yield* Effect.flip(desk.report(KEY, 1, "a", RESULT))
        disk.isDown = false
        yield* pass(2 * REFUSED_REPORT_MS + ATTEMPT_GRACE_MS - 1)
        expect((yield* recorded(KEY)).outcome).toBe(null)
      })
    )
  )

  it(
    "is not waited for without end",
    onDisk((disk) =>
      Effect.gen(function* () {
        yield* refused(disk, "a")
        yield* pass(REFUSED_REPORT_MS)
        expect((yield* recorded(KEY)).outcome).toMatchObject({ errorMeta: { kind: "OutcomeUnknown" } })
      })
    )
  )

  it(
    "is not waited for when it comes from anybody else",
    onDisk((disk) =>
      Effect.gen(function* () {
        yield* refused(disk, "b")
        yield* pass(1_000)
        expect((yield* recorded(KEY)).outcome).toMatchObject({ errorMeta: { kind: "OutcomeUnknown" } })
      })
    )
  )
})

it("the sweep rests when no executor has an attempt open any more", () => {
  let commits = 0
  return test(
    Effect.gen(function* () {
      const { desk } = yield* startDesk()
      const commitsOf = Effect.fnUntraced(function* (millis: number) {
        const before = commits
        for (let passed = 0; passed < millis; passed += 1_000) yield* Effect.andThen(TestClock.adjust(1_000), settle)
        return commits - before
      })
      yield* commitsOf(2_000)
      expect(yield* commitsOf(5_000)).toBe(0)
      yield* claim(desk, KEY)
      expect(yield* commitsOf(5_000)).toBe(5)
      yield* desk.report(KEY, 1, "a", RESULT)
      expect(yield* commitsOf(5_000)).toBe(0)
      yield* claim(desk, callKey(2))
      yield* commitsOf(LEASE_MS + 1_000)
      expect((yield* recorded(callKey(2))).outcome).toMatchObject({ errorMeta: { kind: "OutcomeUnknown" } })
      expect(yield* commitsOf(5_000)).toBe(0)
    }),
    () => commits++
  )()
})
