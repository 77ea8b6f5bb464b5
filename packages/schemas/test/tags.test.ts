import { Schema } from "effect"
import { describe, expect, it } from "vitest"
import { STARRED, TAGS_MAX, Tags } from "../src/tags.ts"

const isRight = Schema.is(Tags)
const tags = (count: number) => Array.from({ length: count }, (_, n) => `tag ${n}`)

describe("tags", () => {
  it("are twenty at most, and there is always room for the star", () => {
    expect(isRight(tags(TAGS_MAX))).toBe(true)
    expect(isRight([...tags(TAGS_MAX), STARRED])).toBe(true)
    expect(isRight(tags(TAGS_MAX + 1))).toBe(false)
    expect(isRight([...tags(TAGS_MAX + 1), STARRED])).toBe(false)
  })
})
