import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { newUuid, ServiceCallId } from "../src/ids.ts"

const timeOf = (id: string) => Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16)

describe("newUuid", () => {
  it("makes ids of version 7 that sort in the order in which they were made, whatever the clock does", () => {
    const latest = { id: "" }
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -10, max: 10 }), { maxLength: 50 }), (steps) => {
        let now = Date.now()
        for (const step of steps) {
          now += step
          const id = newUuid(now)
          expect(ServiceCallId.make(id)[14]).toBe("7")
          expect(id > latest.id).toBe(true)
          latest.id = id
        }
      })
    )
  })

  it("has the time of the clock, as soon as the clock is ahead of the id before", () => {
    const ahead = timeOf(newUuid(Date.now())) + 5
    expect(timeOf(newUuid(ahead))).toBe(ahead)
    expect(timeOf(newUuid(ahead))).toBe(ahead)
  })

  it("makes a millisecond's 10,000 ids distinct and in order, though its counter ends at 4,096", () => {
    const now = timeOf(newUuid(Date.now())) + 1
    const ids = Array.from({ length: 10_000 }, () => newUuid(now))
    expect(new Set(ids).size).toBe(10_000)
    expect(ids.toSorted()).toEqual(ids)
    expect(timeOf(ids[9_999] ?? "")).toBe(now + 2)
  })

  it("cannot be guessed from the id before: what follows the counter is random", () => {
    const ends = Array.from({ length: 1_000 }, () => newUuid(0).slice(20))
    expect(new Set(ends).size).toBe(1_000)
  })
})
