import { onTestClock, settle } from "@event-service-agent/platform/testing"
import { Effect, Fiber, type Layer, type Scope } from "effect"
import { TestClock } from "effect/testing"
import { describe, expect, it } from "vitest"
import { DECISION_WAIT_MS } from "../src/await-decision.ts"
import { cancelServiceCall } from "../src/cancel-service-call.ts"
import { submitted } from "../src/read-service-calls.ts"
import { setServiceCallTags } from "../src/set-service-call-tags.ts"
import { submissionOf } from "./submission-store.contract.ts"
import { commandsUnderWay, KnownCalls, layerStores, nameOf, processCommands } from "./testing.ts"

const test = <A, E>(sentence: string, effect: Effect.Effect<A, E, Layer.Success<typeof layerStores> | Scope.Scope>) =>
  it(sentence, onTestClock(Effect.provide(effect, layerStores)))

const call = submitted(submissionOf(1, 1))
const know = Effect.fnUntraced(function* (changes: Partial<typeof call>) {
  const known = yield* KnownCalls
  known.set(nameOf(call), { ...call, ...changes })
})

describe("cancelServiceCall", () => {
  test(
    "answers as soon as orchestration has decided",
    Effect.gen(function* () {
      yield* know({ status: "Scheduled" })
      const cancelling = yield* Effect.forkChild(cancelServiceCall(call, "no longer needed"))
      yield* TestClock.adjust(100)
      const [command] = yield* commandsUnderWay
      expect(command).toMatchObject({
        type: "CancelServiceCall",
        aggregateId: call.serviceCallId,
        correlationId: call.correlationId,
        payload: { reason: "no longer needed" }
      })
      yield* processCommands
      yield* settle
      yield* TestClock.adjust(100)
      expect(yield* Fiber.join(cancelling)).toMatchObject({ isDecided: true, call: { status: "Cancelled" } })
    })
  )

  test(
    "is refused when the call starts before the command arrives",
    Effect.gen(function* () {
      yield* know({ status: "Scheduled" })
      const cancelling = yield* Effect.forkChild(Effect.flip(cancelServiceCall(call, null)))
      yield* TestClock.adjust(100)
      yield* know({ status: "Running" })
      yield* processCommands
      yield* settle
      yield* TestClock.adjust(100)
      expect(yield* Fiber.join(cancelling)).toMatchObject({ _tag: "NotCancellable", serviceCallStatus: "Running" })
    })
  )

  test(
    "says that there is no decision yet when it takes too long",
    Effect.gen(function* () {
      yield* know({ status: "Scheduled" })
      const cancelling = yield* Effect.forkChild(cancelServiceCall(call, null))
      yield* TestClock.adjust(DECISION_WAIT_MS)
      expect(yield* Fiber.join(cancelling)).toMatchObject({ isDecided: false, call: { status: "Scheduled" } })
    })
  )

  for (const status of ["Running", "Succeeded", "Failed"] as const) {
    test(
      `is refused for a ${status} call, without a command`,
      Effect.gen(function* () {
        yield* know({ status })
        expect(yield* Effect.flip(cancelServiceCall(call, null))).toMatchObject({ serviceCallStatus: status })
        expect(yield* commandsUnderWay).toEqual([])
      })
    )
  }

  test(
    "has nothing to do for a call that is cancelled, and knows no other",
    Effect.gen(function* () {
      expect((yield* Effect.flip(cancelServiceCall(call, null)))._tag).toBe("ServiceCallNotFound")
      yield* know({ status: "Cancelled" })
      expect((yield* cancelServiceCall(call, null)).isDecided).toBe(true)
      expect(yield* commandsUnderWay).toEqual([])
    })
  )
})

describe("setServiceCallTags", () => {
  test(
    "answers once the call has the tags, in any state",
    Effect.gen(function* () {
      yield* know({ status: "Failed" })
      const tagging = yield* Effect.forkChild(setServiceCallTags(call, ["b", "star"]))
      yield* TestClock.adjust(100)
      yield* processCommands
      yield* settle
      yield* TestClock.adjust(100)
      expect(yield* Fiber.join(tagging)).toMatchObject({
        isDecided: true,
        call: { tags: ["b", "star"], status: "Failed" }
      })
    })
  )

  test(
    "answers all of several at the same time, of which the last one stays",
    Effect.gen(function* () {
      yield* know({ status: "Scheduled" })
      yield* processCommands
      const tags = ["a", "b", "c", "d"]
      const tagging = Effect.forEach(tags, (tag) => setServiceCallTags(call, [tag]), { concurrency: "unbounded" })
      const fiber = yield* Effect.forkChild(tagging)
      yield* settle
      yield* TestClock.adjust(100)
      const decisions = yield* Fiber.join(fiber)
      expect(decisions.map(({ isDecided }) => isDecided)).toEqual([true, true, true, true])
      expect(decisions.at(-1)?.call.tags).toEqual(["d"])
    })
  )

  test(
    "lets the last one stay, also when the call has these tags until the others are handled",
    Effect.gen(function* () {
      yield* know({ status: "Scheduled", tags: ["a"] })
      const other = yield* Effect.forkChild(setServiceCallTags(call, ["b"]))
      yield* TestClock.adjust(100)
      const last = yield* Effect.forkChild(setServiceCallTags(call, ["a"]))
      yield* TestClock.adjust(100)
      yield* processCommands
      yield* settle
      yield* TestClock.adjust(1_000)
      yield* Fiber.joinAll([other, last])
      expect((yield* KnownCalls).get(nameOf(call))?.tags).toEqual(["a"])
    })
  )

  test(
    "says that there is no decision yet when it takes too long",
    Effect.gen(function* () {
      yield* know({ status: "Scheduled" })
      const tagging = yield* Effect.forkChild(setServiceCallTags(call, []))
      yield* TestClock.adjust(DECISION_WAIT_MS)
      expect(yield* Fiber.join(tagging)).toMatchObject({ isDecided: false })
    })
  )
})
