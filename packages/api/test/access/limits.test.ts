import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { exceededQuota, NO_LIMITS } from "../../src/access/limits.ts"
import { makeTokenBuckets } from "../../src/access/token-buckets.ts"

const SECOND = 1_000_000_000

/** Nanoseconds between one try and the next, and who tries. */
const tries = fc.array(fc.tuple(fc.integer({ min: 0, max: SECOND }), fc.constantFrom("a", "b")), { maxLength: 200 })

describe("a token bucket", () => {
  it("gives in any second no more than it may hold and what flows in meanwhile, and refuses nobody who is slower", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20 }), tries, (rate, steps) => {
        const buckets = makeTokenBuckets(rate)
        const taken = new Map<string, Array<number>>()
        const last = new Map<string, number>()
        let now = 0
        for (const [pause, name] of steps) {
          now += pause
          const times = taken.get(name) ?? []
          const left = buckets.take(name, BigInt(now))
          if (left !== undefined) taken.set(name, [...times, now])
          if (left !== undefined) expect(left).toBeLessThan(rate)
          const isSlow = now - (last.get(name) ?? Number.NEGATIVE_INFINITY) >= SECOND / rate + 1
          if (isSlow) expect({ left, now }).not.toEqual({ left: undefined, now })
          last.set(name, now)
        }
        for (const times of taken.values()) {
          for (const [index, from] of times.entries()) {
            const within = times.slice(index).filter((time) => time - from <= SECOND)
            expect(within.length).toBeLessThanOrEqual(2 * rate)
            const span = ((times.at(-1) ?? from) - from) / SECOND
            expect(times.length - index).toBeLessThanOrEqual(rate + span * rate + 1e-6)
          }
        }
      })
    )
  })

  it("keeps the buckets of the last second alone", () => {
    const buckets = makeTokenBuckets(5)
    for (let tenant = 0; tenant < 1_000; tenant++) buckets.take(`tenant ${tenant}`, BigInt(tenant))
    expect(buckets.size()).toBe(1_000)
    buckets.take("another", BigInt(SECOND + 499))
    expect(buckets.size()).toBe(501)
    buckets.take("another", BigInt(3 * SECOND))
    expect(buckets.size()).toBe(1)
  })
})

describe("a quota", () => {
  it("lets the last call in that fits, and says what is too much", () => {
    const limits = { ...NO_LIMITS, pendingCalls: 3, storedBytes: 1_000 }
    expect(exceededQuota(limits, { pendingCalls: 2, storedBytes: 900 }, 100)).toBe(undefined)
    expect(exceededQuota(limits, { pendingCalls: 3, storedBytes: 0 }, 1)).toMatchObject({
      limit: "QUOTA_PENDING_CALLS",
      quota: 3,
      used: 3
    })
    expect(exceededQuota(limits, { pendingCalls: 0, storedBytes: 901 }, 100)).toMatchObject({
      limit: "QUOTA_STORED_BYTES",
      quota: 1_000,
      used: 901
    })
    expect(exceededQuota(limits, { pendingCalls: 0, storedBytes: 1 }, 1_000)).toMatchObject({ _tag: "QuotaExceeded" })
    expect(exceededQuota(NO_LIMITS, { pendingCalls: 1e9, storedBytes: 1e15 }, 1e6)).toBe(undefined)
  })

  it("says of a call that is larger than all of it that it will never fit, whatever else is used up", () => {
    const limits = { ...NO_LIMITS, pendingCalls: 3, storedBytes: 1_000 }
    for (const pendingCalls of [0, 3]) {
      const exceeded = exceededQuota(limits, { pendingCalls, storedBytes: 0 }, 1_001)
      expect(exceeded).toMatchObject({ _tag: "ContentTooLarge" })
      expect(exceeded?.detail).toMatch(/would add 1001 bytes.* may hold 1000 .*never fit/)
    }
  })
})
