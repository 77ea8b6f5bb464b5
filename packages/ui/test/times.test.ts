import { formatSpan } from "@event-service-agent/schemas/format-span"
import { describe, expect, it } from "vitest"
import { formatLocal, formatRelative, formatShort, formatUtc, fromLocalInput, toLocalInput } from "../src/lib/times.ts"

const MINUTE = 60_000
const HOUR = 60 * MINUTE

describe("times for people", () => {
  it("tell a span by its two largest units", () => {
    const rows = [
      [0, "0 ms"],
      [999.4, "999 ms"],
      [1_000, "1 s"],
      [2_345, "2.34 s"],
      [-2_345, "-2.34 s"],
      [9_999, "9.99 s"],
      [59_999, "59 s"],
      [MINUTE, "1 min"],
      [3 * HOUR + 12 * MINUTE + 5_000, "3 h 12 min"],
      [24 * HOUR, "1 d"],
      [25 * HOUR, "1 d 1 h"],
      [800 * 24 * HOUR, "2 y 70 d"]
    ] as const
    for (const [millis, expected] of rows) expect([millis, formatSpan(millis)]).toEqual([millis, expected])
  })

  it("never tell a coming time as now or past", () => {
    expect(formatRelative(1, 0)).toBe("in 1 s")
    expect(formatRelative(3 * HOUR + 12 * MINUTE, 0)).toBe("in 3 h 12 min")
    expect(formatRelative(0, 0)).toBe("now")
    expect(formatRelative(0, 999)).toBe("now")
    expect(formatRelative(0, 5 * MINUTE + 999)).toBe("5 min ago")
  })

  it("tell a day by no more than it takes", () => {
    const now = new Date(2026, 10, 21, 12, 0, 0).getTime()
    expect(formatShort(now - HOUR, now)).toBe("11:00:00")
    expect(formatShort(now - 24 * HOUR, now)).toBe("Nov 20 12:00")
    expect(formatShort(new Date(2025, 0, 2, 3, 4, 5).getTime(), now)).toBe("2025-01-02 03:04")
  })

  it("come back from a field as they were", () => {
    const time = Date.UTC(2027, 0, 1, 9, 30, 15)
    expect(fromLocalInput(toLocalInput(time))).toBe("2027-01-01T09:30:15.000Z")
    expect(toLocalInput(time)).toBe(formatLocal(time).replace(" ", "T"))
    expect(formatUtc(time)).toBe("2027-01-01 09:30:15 UTC")
    expect([fromLocalInput(""), fromLocalInput("soon")]).toEqual(["", ""])
  })
})
