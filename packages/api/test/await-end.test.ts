import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { preferredWait, WAIT_SECONDS_MAX } from "../src/await-end.ts"

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
