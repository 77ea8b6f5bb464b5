import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { type Address, formatAddress, listQuery, NO_FILTER, parseAddress, TABS } from "../src/lib/address.ts"

const text = fc.string({ unit: "grapheme", maxLength: 20 })
const instant = fc.option(
  fc.date({ noInvalidDate: true, min: new Date(0), max: new Date("9999-01-01") }).map((date) => date.toISOString()),
  { nil: "" }
)
const address: fc.Arbitrary<Address> = fc
  .record({
    view: fc.constant("status" as const),
    tenant: fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/),
    tab: fc.constantFrom(...TABS),
    tags: fc.uniqueArray(
      text.filter((tag) => tag !== ""),
      { maxLength: 3 }
    ),
    q: text,
    from: instant,
    to: instant,
    cursor: text,
    page: fc.integer({ min: 1, max: 999 }),
    call: text
  })
  .map((made) => ({ ...made, page: made.cursor === "" ? 1 : made.page }))

describe("the address", () => {
  it("says all of what is shown", () => {
    fc.assert(
      fc.property(address, (shown) => {
        expect(parseAddress(formatAddress(shown))).toEqual(shown)
      })
    )
  })

  it("is read whatever is in it", () => {
    fc.assert(
      fc.property(fc.string(), (search) => {
        expect(TABS).toContain(parseAddress(search).tab)
      })
    )
    const wrong = parseAddress("?tenant=a/b&view=x&status=y&from=soon&page=7&tag=")
    expect(wrong).toEqual({ ...NO_FILTER, view: "status", tenant: "demo", cursor: "", page: 1, call: "" })
    expect(parseAddress("", "acme").tenant).toBe("acme")
  })

  it("asks the list for what a tab holds", () => {
    expect(listQuery({ ...NO_FILTER, tab: "Scheduled" }).toString()).toBe("status=Submitted&status=Scheduled")
    expect(listQuery({ ...NO_FILTER, tab: "Starred", tags: ["a", "starred"], q: "x y" }).toString()).toBe(
      "tag=a&tag=starred&q=x+y"
    )
    expect(listQuery(NO_FILTER).toString()).toBe("")
  })
})
