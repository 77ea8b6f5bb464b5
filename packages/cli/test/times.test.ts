import { join } from "node:path"
import { Option } from "effect"
import { describe, expect, it } from "vitest"
import { fromNow, parseDuration } from "../src/times.ts"
import type { Found, Question } from "./times-elsewhere.ts"

/** A Saturday in summer time, 10:00 in Berlin. */
const NOW = "2027-06-05T08:00:00.000Z"

/** In a process of its own: the time zone of this one is not to be changed. */
const inBerlin = (question: Question): Found => {
  const command = [process.execPath, join(import.meta.dirname, "times-elsewhere.ts"), JSON.stringify(question)]
  const ran = Bun.spawnSync(command, { env: { PATH: process.env["PATH"] ?? "", TZ: "Europe/Berlin" } })
  return JSON.parse(ran.stdout.toString())
}

const expectMoments = (expected: Readonly<Record<string, string>>, now = NOW) => {
  const texts = Object.keys(expected)
  const { moments } = inBerlin({ now, texts })
  expect(Object.fromEntries(texts.map((text, index) => [text, moments[index]]))).toEqual(expected)
}

describe("a time as people write it", () => {
  it("is what it says where it has an offset, and local time where it has none", () => {
    expectMoments({
      "2027-01-01T09:00:00Z": "2027-01-01T09:00:00.000Z",
      "2027-01-01T09:00:00+02:00": "2027-01-01T07:00:00.000Z",
      "2027-01-01 09:00": "2027-01-01T08:00:00.000Z",
      "2027-07-01 09:00:30": "2027-07-01T07:00:30.000Z",
      "2027-07-01": "2027-06-30T22:00:00.000Z",
      "tomorrow 09:00": "2027-06-06T07:00:00.000Z",
      tomorrow: "2027-06-05T22:00:00.000Z",
      "yesterday 9:15": "2027-06-04T07:15:00.000Z",
      "today 09:00": "2027-06-05T07:00:00.000Z",
      // Without a day: the next such hour.
      "11:30": "2027-06-05T09:30:00.000Z",
      "09:00": "2027-06-06T07:00:00.000Z",
      "10:00": "2027-06-06T08:00:00.000Z",
      "in 2h30m": "2027-06-05T10:30:00.000Z",
      "1d ago": "2027-06-04T08:00:00.000Z",
      // The clocks go from 02:00 to 03:00.
      "2027-03-28 03:30": "2027-03-28T01:30:00.000Z"
    })
  })

  it("is refused where no clock shows it", () => {
    const wrong = [
      "",
      " ",
      "2027-02-30 09:00",
      "2027-02-30T09:00:00Z",
      "24:00",
      "9:60",
      "soon",
      "tomorrow9:00",
      "in 5",
      "5m"
    ]
    const { moments } = inBerlin({ now: NOW, texts: [...wrong, "2027-03-28 02:30"] })
    expect(moments).toEqual(Array(wrong.length + 1).fill(null))
  })

  it("keeps the hour over a change of the clocks", () => {
    expectMoments({ "tomorrow 09:00": "2027-03-28T07:00:00.000Z" }, "2027-03-27T11:00:00.000Z")
  })
})

describe("a duration", () => {
  it("is a number and a unit, or several", () => {
    const read = (text: string) => Option.getOrUndefined(parseDuration(text))
    expect(["500ms", "45s", "5m", "2h30m", "1d", "0s"].map(read)).toEqual([
      500, 45_000, 300_000, 9_000_000, 86_400_000, 0
    ])
    expect(["", "5", "m", "5 m", "-5m", "1.5h", "5x", "999999d", "5m5"].map(read)).toEqual(Array(9).fill(undefined))
  })
})

describe("a time for people", () => {
  it("is local, with how far it is", () => {
    expect(inBerlin({ now: NOW, texts: [] }).shown).toBe("2027-06-05 10:00:00")
    expect(fromNow("2027-06-05T11:12:00.000Z", Date.parse(NOW))).toBe("in 3 h 12 min")
    expect(fromNow("2027-06-05T07:59:00.000Z", Date.parse(NOW))).toBe("1 min ago")
  })
})
