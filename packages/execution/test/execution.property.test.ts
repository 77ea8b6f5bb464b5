import { HttpClientPort, SendFailed } from "@event-service-agent/platform/http-client-port"
import type { RequestSpec } from "@event-service-agent/schemas/http-request"
import { Deferred, Effect, Exit, Fiber, Scope } from "effect"
import { TestClock } from "effect/testing"
import * as fc from "fast-check"
import { expect, it } from "vitest"
import { callKey, listen, OK, order, start, stuckClient, TIMEOUT_MS, test } from "./fixtures.ts"

const KEYS = [callKey(1), callKey(2), callKey(3)]
const RUNS = 100
/** Longer than any attempt may take. */
const LONG_MS = 30_000
const DRAIN_MS = 500

const call = fc.constantFrom(...KEYS)
const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant("order"), call, times: fc.integer({ min: 1, max: 3 }) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("answer"), call, isRefused: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("wait"), ms: fc.constantFrom(0, 1, 999, TIMEOUT_MS, 15_000) }) },
  { weight: 1, arbitrary: fc.constant({ do: "restart" }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("failCommits"), count: fc.integer({ min: 1, max: 3 }) }) }
)
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never

const REFUSED = new SendFailed({ kind: "ConnectionFailed", sent: "no", message: "refused", sentAt: null })

/** Lets the clock go on while the effect waits: for sends, or for a storage that refuses. */
const whileTimeGoesOn = Effect.fnUntraced(function* <A, E, R>(effect: Effect.Effect<A, E, R>) {
  const fiber = yield* Effect.forkChild(effect)
  while (fiber.pollUnsafe() === undefined) yield* TestClock.adjust(100)
  return yield* Fiber.join(fiber)
})

const scenario = (isStuck: boolean, steps: ReadonlyArray<Step>) => {
  let commitsToFail = 0
  const run = Effect.gen(function* () {
    const answers = new Map(KEYS.map((key) => [key, Deferred.makeUnsafe<typeof OK, SendFailed>()] as const))
    const ordered = new Set<(typeof KEYS)[number]>()
    const sends: Array<string | undefined> = []
    const { heard } = yield* listen

    const script = ({ headers }: RequestSpec) =>
      Effect.suspend(() => {
        const id = headers?.["Idempotency-Key"]
        sends.push(id)
        const key = KEYS.find(({ serviceCallId }) => serviceCallId === id)
        const answer = key && answers.get(key)
        return answer === undefined ? Effect.die(`${id} was never ordered`) : Deferred.await(answer)
      })
    const client = isStuck ? stuckClient(script) : HttpClientPort.layerScripted(script)
    let scope = yield* start(client, { drainGraceMs: DRAIN_MS })

    for (const next of steps) {
      if ("times" in next) {
        ordered.add(next.call)
        const orders = Array.from({ length: next.times }, () => Effect.retry(order(next.call), { times: 3 }))
        yield* Effect.all(orders, { concurrency: "unbounded" })
      } else if ("isRefused" in next) {
        const answer = answers.get(next.call)
        if (answer) yield* Deferred.done(answer, next.isRefused ? Exit.fail(REFUSED) : Exit.succeed(OK))
      } else if ("ms" in next) {
        yield* TestClock.adjust(next.ms)
      } else if ("count" in next) {
        commitsToFail = next.count
      } else {
        yield* whileTimeGoesOn(Scope.close(scope, Exit.void))
        scope = yield* whileTimeGoesOn(start(client, { drainGraceMs: DRAIN_MS }))
      }
    }
    yield* TestClock.adjust(LONG_MS)
    yield* whileTimeGoesOn(Scope.close(scope, Exit.void))

    for (const key of KEYS) {
      const { serviceCallId } = key
      const told = heard.filter(({ aggregateId }) => aggregateId === serviceCallId)
      const sent = sends.filter((id) => id === serviceCallId).length
      const outcome = told[1]
      if (!ordered.has(key)) {
        expect([sent, told]).toEqual([0, []])
        continue
      }
      expect(told.map(({ version }) => version)).toEqual([1, 2])
      expect(told[0]?.type).toBe("ExecutionStarted")
      expect(sent).toBeLessThanOrEqual(1)
      if (outcome?.type === "ExecutionSucceeded") expect(sent).toBe(1)
      else expect(outcome?.type).toBe("ExecutionFailed")
    }
  })
  return test(run, () => {
    if (commitsToFail-- > 0) throw new Error("disk I/O error")
  })
}

it("whatever repeats, stops, fails or comes late: at most one send and exactly one outcome for each call", () =>
  fc.assert(
    fc.asyncProperty(fc.boolean(), fc.array(step, { maxLength: 20, size: "max" }), (isStuck, steps) =>
      scenario(isStuck, steps)()
    ),
    { numRuns: RUNS }
  ))
