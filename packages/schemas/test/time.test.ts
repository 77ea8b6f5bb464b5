import { DateTime, Option, Result, Schema } from "effect"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { fromMillis, parseTimestamp, Timestamp, toMillis } from "../src/time.ts"

const millisOf = (text: string) => Option.getOrUndefined(Option.map(parseTimestamp(text), toMillis))
const YEAR_0 = -62_167_219_200_000
const YEAR_9999_END = 253_402_300_799_999

describe("time", () => {
  it("comes back as it was, for every millisecond of the years 0 to 9999", () => {
    const encode = Schema.encodeSync(Timestamp)
    const decode = Schema.decodeSync(Timestamp)
    fc.assert(
      fc.property(fc.integer({ min: YEAR_0, max: YEAR_9999_END }), (millis) => {
        expect(toMillis(decode(encode(fromMillis(millis))))).toBe(millis)
      })
    )
  })

  it("means the same instant whatever the offset", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 4_000_000_000_000 }),
        fc.integer({ min: -23 * 60 - 59, max: 23 * 60 + 59 }),
        (millis, offsetMinutes) => {
          const local = new Date(millis + offsetMinutes * 60_000).toISOString().slice(0, -1)
          const size = Math.abs(offsetMinutes)
          const part = (value: number) => String(value).padStart(2, "0")
          const offset = `${offsetMinutes < 0 ? "-" : "+"}${part(Math.floor(size / 60))}:${part(size % 60)}`
          expect(millisOf(local + offset)).toBe(millis)
        }
      )
    )
  })

  it("agrees with the calendar on which days exist", () => {
    fc.assert(
      fc.property(
        fc.nat(9_999),
        fc.integer({ min: 0, max: 13 }),
        fc.integer({ min: 0, max: 32 }),
        (year, month, day) => {
          const pad = (value: number, size: number) => String(value).padStart(size, "0")
          const date = new Date(0)
          date.setUTCFullYear(year, month - 1, day)
          const exists = date.getUTCFullYear() === year && date.getUTCMonth() === month - 1 && date.getUTCDate() === day
          const text = `${pad(year, 4)}-${pad(month, 2)}-${pad(day, 2)}T12:00:00Z`
          expect(Option.isSome(parseTimestamp(text))).toBe(exists)
        }
      ),
      { numRuns: 2_000 }
    )
  })

  it("rounds what is finer than a millisecond up, so that nothing is due early", () => {
    expect(millisOf("1970-01-01T00:00:00.001Z")).toBe(1)
    expect(millisOf("1970-01-01T00:00:00.0010000001Z")).toBeUndefined()
    expect(millisOf("1970-01-01T00:00:00.001000001Z")).toBe(2)
    expect(millisOf("1970-01-01T00:00:59.9999Z")).toBe(60_000)
    expect(millisOf("1970-01-01t00:00:01z")).toBe(1_000)
  })

  it("refuses what is not RFC 3339, or no time", () => {
    const refused = [
      "2026-02-30T00:00:00Z",
      "2026-02-29T00:00:00Z",
      "2026-13-01T00:00:00Z",
      "2026-01-01T24:00:00Z",
      "2026-01-01T00:00:60Z",
      "2026-01-01T00:00:00",
      "2026-01-01",
      "2026-01-01 00:00:00Z",
      "2026-1-1T00:00:00Z",
      "2026-01-01T00:00:00+24:00",
      "2026-01-01T00:00:00+0100",
      "2026-01-01T00:00:00.Z",
      "+2026-01-01T00:00:00Z",
      "0000-01-01T00:00:00+01:00",
      "9999-12-31T23:59:59-01:00",
      "9999-12-31T23:59:59.9999Z",
      " 2026-01-01T00:00:00Z",
      "2026-01-01T00:00:00Z\n",
      "now",
      ""
    ]
    for (const text of refused) expect([text, millisOf(text)]).toEqual([text, undefined])
  })

  it("says what it expects", () => {
    const decoded = Schema.decodeUnknownResult(Timestamp)("2026-02-30T00:00:00Z")
    expect(Result.isFailure(decoded) && String(decoded.failure)).toContain("Expected an RFC 3339 time with an offset")
    expect(DateTime.formatIso(fromMillis(0))).toBe("1970-01-01T00:00:00.000Z")
  })
})
