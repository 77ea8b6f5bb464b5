import { describe, expect, it } from "vitest"
import { newServiceCallId, ServiceCallId } from "../src/ids.ts"

describe("new ids", () => {
  it("are of version 7, distinct, and sort in the order in which they were made, though nothing checks them", () => {
    const ids = Array.from({ length: 10_000 }, newServiceCallId)
    for (const id of ids) expect(ServiceCallId.make(id)[14]).toBe("7")
    expect(new Set(ids).size).toBe(ids.length)
    expect(ids.toSorted()).toEqual(ids)
  })
})
