import { HttpClientPort } from "@event-service-agent/platform/http-client-port"
import { settle } from "@event-service-agent/platform/testing"
import { UnitOfWork } from "@event-service-agent/platform/transaction"
import type { RequestSpec } from "@event-service-agent/schemas/http-request"
import { Effect, Latch } from "effect"
import { TestClock } from "effect/testing"
import * as fc from "fast-check"
import { expect, it } from "vitest"
import { AttemptStore } from "../src/ports/attempt-store.ts"
import { allRecorded, callKey, listen, OK, order, stuckClient, TIMEOUT_MS, test } from "./fixtures.ts"
import { type Fault, MemoryBroker } from "./memory-link.ts"
import { startDesk, startExecutor, withWallClock } from "./remote-fixtures.ts"

/** The last two would rather be sent twice. */
const KEYS = [callKey(0), callKey(1), callKey(2), callKey(3)]
const EXECUTORS = 2
const RUNS = 60
/** Long enough for every lease, pause and refusal to be over. */
const END_MS = 60_000

const call = fc.nat({ max: KEYS.length - 1 })
const executor = fc.nat({ max: EXECUTORS - 1 })
const fault = fc.constantFrom<Fault>(
  "question lost",
  "answer lost",
  "answer lost",
  "later",
  500,
  3_900,
  20_000,
  -3_900,
  -20_000
)
const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constant("deliver"), call, executor, times: fc.integer({ min: 1, max: 2 }) })
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("fail"), which: fc.constantFrom("claim", "report"), fault }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("answer"), answered: call }) },
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant("wait"), ms: fc.constantFrom(0, 1, 999, 2_100, 5_000, TIMEOUT_MS, 15_000) })
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant("restart the agent"), downMs: fc.constantFrom(0, 3_000, 20_000) })
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("kill"), killed: executor }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("refuse commits"), count: fc.integer({ min: 1, max: 3 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("set the clock"), aheadMs: fc.constantFrom(-60_000, 0, 60_000) })
  }
)
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never

/** An unit for what only reads memory. */
const NO_UNIT = { afterCommit: () => {}, onRollback: () => {}, takeOn: () => {}, isRepeated: false }

/** Lets the clock go on, and after it every fiber. */
const wait = (ms: number) => Effect.andThen(TestClock.adjust(ms), settle)

const scenario = (isStuck: boolean, steps: ReadonlyArray<Step>) => {
  let commitsToFail = 0
  const isSteady = !steps.some((next) => "aheadMs" in next)
  const run = withWallClock((wall) =>
    Effect.gen(function* () {
      const store = yield* AttemptStore
      const broker = new MemoryBroker()
      const answers = KEYS.map(() => Latch.makeUnsafe())
      /** Who has sent which call. */
      const sends: Array<{ readonly by: string; readonly id: string | undefined; readonly isOpen: boolean }> = []
      const { heard } = yield* listen

      const clientOf = (by: string) => {
        const script = ({ headers }: RequestSpec) =>
          Effect.gen(function* () {
            const id = headers?.["Idempotency-Key"]
            const index = KEYS.findIndex(({ serviceCallId }) => serviceCallId === id)
            const [key, answer] = [KEYS[index], answers[index]]
            if (key === undefined || answer === undefined) return yield* Effect.die(`${id} was never ordered`)
            const attempts = yield* Effect.orDie(Effect.provideService(store.attemptsOf(key), UnitOfWork, NO_UNIT))
            const isOpen = attempts.some(({ attempt, outcome }) => attempt.processId === by && outcome === null)
            sends.push({ by, id, isOpen })
            yield* answer.await
            return OK
          })
        return isStuck ? stuckClient(script) : HttpClientPort.layerScripted(script)
      }

      let starts = 0
      const newDesk = Effect.suspend(() => {
        const processId = `agent${++starts}`
        return startDesk({ processId }, clientOf(processId))
      })
      const newExecutor = Effect.suspend(() => {
        const executorId = `executor${++starts}`
        return Effect.map(startExecutor(broker, clientOf(executorId), { executorId }), (started) => ({
          ...started,
          executorId
        }))
      })
      for (const [index, key] of KEYS.entries()) yield* order(key, { onUnknown: index < 2 ? "fail" : "resend" })
      yield* broker.relay
      let agent = yield* newDesk
      broker.desk = agent.desk
      const executors = [yield* newExecutor, yield* newExecutor]

      for (const next of steps) {
        if ("times" in next) {
          for (let n = 0; n < next.times; n++) yield* broker.deliver(broker.starts[next.call], next.executor)
        } else if ("which" in next) {
          broker.faults[next.which === "claim" ? "claim" : "report"].push(next.fault)
        } else if ("answered" in next) {
          yield* answers[next.answered]?.open ?? Effect.void
        } else if ("ms" in next) {
          yield* wait(next.ms)
        } else if ("downMs" in next) {
          broker.desk = undefined
          yield* agent.stop
          yield* wait(next.downMs)
          commitsToFail = 0
          agent = yield* newDesk
          broker.desk = agent.desk
        } else if ("killed" in next) {
          yield* executors[next.killed]?.stop ?? Effect.void
          // The newest is the last one at the broker.
          executors.splice(next.killed, 1)
          executors.push(yield* newExecutor)
        } else if ("count" in next) {
          commitsToFail = next.count
        } else {
          wall.aheadMs = next.aheadMs
        }
      }

      broker.faults.claim.length = 0
      broker.faults.report.length = 0
      commitsToFail = 0
      wall.aheadMs = 0
      for (const answer of answers) yield* answer.open
      for (let ms = 0; ms < END_MS; ms += 3_000) {
        if (ms % 15_000 === 0) {
          for (const start of broker.starts) if (!broker.done.has(start.seq)) yield* broker.deliver(start, 0)
        }
        yield* wait(3_000)
      }

      expect(broker.done.size).toBe(KEYS.length)
      const alive = executors.map(({ executorId }) => executorId)
      for (const [index, key] of KEYS.entries()) {
        const told = heard.filter(({ aggregateId }) => aggregateId === key.serviceCallId)
        const sent = sends.filter(({ id }) => id === key.serviceCallId)
        const there = sent.filter(({ by }) => by.startsWith("executor"))
        const attempts = yield* allRecorded(key)
        expect(there.length).toBeLessThanOrEqual(1)
        expect(sent.length - there.length).toBeLessThanOrEqual(index < 2 ? 0 : 1)
        if (isSteady) expect(sent.filter(({ isOpen }) => !isOpen)).toEqual([])
        expect([[1, 2], ...(index < 2 ? [] : [[1, 3, 4]])]).toContainEqual(told.map(({ version }) => version))
        if (told.at(-1)?.type === "ExecutionSucceeded") expect(sent.length).toBeGreaterThan(0)
        expect(attempts.map(({ outcome }) => outcome === null)).not.toContain(true)
        // Whoever lives to tell has told.
        for (const { by } of there.filter((send) => alive.includes(send.by))) {
          const own = attempts.find(({ attempt }) => attempt.processId === by)
          const results = [own?.outcome, own?.evidence].flatMap((result) => result ?? [])
          const isUnknown = (result: (typeof results)[number]) =>
            result._tag === "Failed" && result.errorMeta.kind === "OutcomeUnknown"
          expect(results.filter((result) => !isUnknown(result))).toHaveLength(1)
        }
      }
    })
  )
  return test(run, () => {
    if (commitsToFail-- > 0) throw new Error("disk I/O error")
  })
}

it("whatever is lost, late, repeated, killed or refused: at most one send of each attempt, while it is open, and one outcome", () =>
  fc.assert(
    fc.asyncProperty(fc.boolean(), fc.array(step, { maxLength: 25, size: "max" }), (isStuck, steps) =>
      scenario(isStuck, steps)()
    ),
    { numRuns: RUNS }
  ))
