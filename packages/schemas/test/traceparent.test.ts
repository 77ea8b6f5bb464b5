import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { formatTraceparent, parseTraceparent } from "../src/traceparent.ts"

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
const SPAN = "00f067aa0ba902b7"
const hex = (digits: number) =>
  fc
    .array(fc.constantFrom(..."0123456789abcdef"), { minLength: digits, maxLength: digits })
    .map((all) => all.join(""))
    .filter((text) => !/^0+$/.test(text))

describe("a traceparent", () => {
  it("is read as it was written", () => {
    fc.assert(
      fc.property(hex(32), hex(16), fc.boolean(), (traceId, spanId, sampled) => {
        const context = { traceId, spanId, sampled }
        expect(parseTraceparent(formatTraceparent(context))).toEqual(context)
      })
    )
  })

  it("of a later version may say more, and other flags", () => {
    const context = { traceId: TRACE, spanId: SPAN, sampled: true }
    expect(parseTraceparent(`01-${TRACE}-${SPAN}-03-more`)).toEqual(context)
    expect(parseTraceparent(`00-${TRACE}-${SPAN}-02`)).toEqual({ ...context, sampled: false })
  })

  it.each([
    undefined,
    "",
    "auto",
    `ff-${TRACE}-${SPAN}-01`,
    `00-${TRACE}-${SPAN}`,
    `00-${TRACE}-${SPAN}-01-more`,
    `00-${TRACE}-${SPAN}-01, 00-${TRACE}-${SPAN}-01`,
    `00-${TRACE.toUpperCase()}-${SPAN}-01`,
    `00-${"0".repeat(32)}-${SPAN}-01`,
    `00-${TRACE}-${"0".repeat(16)}-01`,
    ` 00-${TRACE}-${SPAN}-01`,
    `00-${TRACE}-${SPAN}-01\n`
  ])("is not %j", (text) => {
    expect(parseTraceparent(text)).toBeUndefined()
  })
})
