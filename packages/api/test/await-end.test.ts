import { Stopping } from "@event-service-agent/platform/stopping"
import { onTestClock, settle } from "@event-service-agent/platform/testing"
import { type ServiceCallKey, TenantId } from "@event-service-agent/schemas/ids"
import { Effect, Fiber, Option } from "effect"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { makeAwaitEnd, preferredWait, WAIT_SECONDS_MAX, WAITERS_MAX, WAITERS_PER_TENANT_MAX } from "../src/await-end.ts"
import { makeGate, Visit } from "../src/gate.ts"
import { submitted } from "../src/read-service-calls.ts"
import { submissionOf } from "./submission-store.contract.ts"
import { KnownCalls, layerStores, nameOf } from "./testing.ts"

const anySpace = fc.constantFrom("", " ", "  ", "\t")
const anyOther = fc.constantFrom("respond-async", "return=minimal", 'handling="lenient"', "foo; bar=1", "waiting=7")

describe("how long a client would wait, by its Prefer header", () => {
  it("is found among other preferences, quoted or not, in any case, and is at most a minute", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 999_999_999 }),
        fc.array(anyOther, { maxLength: 3 }),
        fc.array(anyOther, { maxLength: 3 }),
        fc.constantFrom("wait", "Wait", "WAIT"),
        fc.boolean(),
        anySpace,
        (seconds, before, after, word, isQuoted, space) => {
          const value = isQuoted ? `"${seconds}"` : String(seconds)
          const header = [...before, `${space}${word}${space}=${space}${value}`, ...after].join(`${space},`)
          expect(preferredWait(header)).toBe(Math.min(seconds, WAIT_SECONDS_MAX))
        }
      )
    )
  })

  it("is nothing where there is no such preference", () => {
    for (const header of [
      undefined,
      "",
      "wait",
      "wait=",
      "wait=x",
      "wait=-1",
      "wait=1.5",
      "wait=1s",
      "wait=1 2",
      "await=5",
      "x=wait=5",
      "respond-async; wait=5",
      "wait=9999999999"
    ]) {
      expect({ header, seconds: preferredWait(header) }).toEqual({ header, seconds: undefined })
    }
  })
})

describe("what waits for the end of a call", () => {
  const TENANTS = WAITERS_MAX / WAITERS_PER_TENANT_MAX
  const callOf = (tenant: number) => ({ ...submitted(submissionOf(1, 1)), tenantId: TenantId.make(`tenant-${tenant}`) })

  /** Waiters for the call of any of six tenants; none of these calls has ended. */
  const makeWaiting = Effect.gen(function* () {
    const known = yield* KnownCalls
    for (let tenant = 0; tenant < 6; tenant++) known.set(nameOf(callOf(tenant)), callOf(tenant))
    const gate = makeGate({ requests: 10 * WAITERS_MAX })
    const awaitEnd = yield* makeAwaitEnd
    const wait = (key: ServiceCallKey) =>
      Effect.suspend(() => {
        const visit = gate.enter(false)
        if (visit === undefined) throw new Error("the gate is full")
        return Effect.provideService(awaitEnd(key, WAIT_SECONDS_MAX), Visit, visit)
      })
    const open = Effect.fnUntraced(function* (tenant: number, count: number) {
      const fibers = yield* Effect.forEach(Array(count).keys(), () => Effect.forkChild(wait(callOf(tenant))))
      yield* settle
      return fibers
    })
    return { known, open }
  })
  const waiting = (fibers: ReadonlyArray<Fiber.Fiber<unknown, unknown>>): number =>
    fibers.filter((fiber) => fiber.pollUnsafe() === undefined).length

  it(
    "is so much of one tenant and no more, while others wait, until one of it goes",
    onTestClock(
      Effect.gen(function* () {
        const { open, known } = yield* makeWaiting
        const first = yield* open(0, WAITERS_PER_TENANT_MAX)
        expect(waiting(first)).toBe(WAITERS_PER_TENANT_MAX)
        const tooMany = yield* open(0, 1)
        expect(waiting(tooMany)).toBe(0)
        expect(yield* Fiber.joinAll(tooMany)).toEqual([Option.none()])
        expect(waiting(yield* open(1, 1))).toBe(1)

        yield* Fiber.interruptAll(first.slice(0, 2))
        expect(waiting(yield* open(0, 3))).toBe(2)
        // All of them go at the end, and leave nothing behind.
        known.set(nameOf(callOf(0)), { ...callOf(0), outcome: { type: "Cancelled", reason: null } })
        yield* TestClock.adjust(1_000)
        yield* settle
        expect(waiting(first)).toBe(0)
        known.set(nameOf(callOf(0)), callOf(0))
        expect(waiting(yield* open(0, WAITERS_PER_TENANT_MAX + 1))).toBe(WAITERS_PER_TENANT_MAX)
      }).pipe(Effect.provide(layerStores))
    )
  )

  it(
    "ends with the service: at once for a call that is not under way, and for one that is when nothing can end it any more",
    onTestClock(
      Effect.gen(function* () {
        const { open, known } = yield* makeWaiting
        const { begun, modulesStopped } = yield* Stopping
        known.set(nameOf(callOf(1)), { ...callOf(1), status: "Running" })
        const [idle, running] = [yield* open(0, 1), yield* open(1, 1)]
        yield* begun.open
        yield* TestClock.adjust(1_000)
        expect(yield* Fiber.joinAll(idle)).toEqual([Option.none()])
        expect(waiting(running)).toBe(1)
        yield* modulesStopped.open
        yield* TestClock.adjust(1_000)
        expect(yield* Fiber.joinAll(running)).toEqual([Option.none()])
      }).pipe(Effect.provide(layerStores))
    )
  )

  it(
    "is so much of all tenants and no more, until one goes",
    onTestClock(
      Effect.gen(function* () {
        const { open } = yield* makeWaiting
        for (let tenant = 0; tenant < TENANTS; tenant++) {
          expect(waiting(yield* open(tenant, WAITERS_PER_TENANT_MAX - 1))).toBe(WAITERS_PER_TENANT_MAX - 1)
        }
        const last = yield* open(TENANTS, TENANTS + 1)
        expect(waiting(last)).toBe(TENANTS)
        expect(waiting(yield* open(0, 1))).toBe(0)
        yield* Fiber.interruptAll(last.slice(0, 1))
        expect(waiting(yield* open(TENANTS + 1, 2))).toBe(1)
      }).pipe(Effect.provide(layerStores))
    )
  )
})
