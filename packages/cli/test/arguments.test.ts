import { describe, expect, it } from "vitest"
import { respell } from "../src/arguments.ts"

const words = (text: string) => respell(text.split(" "))

describe("what people type", () => {
  it("may have the seconds to wait apart, or none", () => {
    expect(words("call GET http://a --wait 5")).toEqual(["call", "GET", "http://a", "--wait=5"])
    expect(words("call --wait GET http://a")).toEqual(["call", "--wait", "GET", "http://a"])
    expect(words("call --wait")).toEqual(["call", "--wait"])
  })

  it("takes tags away with a hyphen, for tag alone", () => {
    expect(words("tag 0197 +a -b")).toEqual(["tag", "0197", "+a", "--remove=b"])
    expect(words("--tenant tag --url call tag 0197 -b -h")).toEqual([
      "--tenant",
      "tag",
      "--url",
      "call",
      "tag",
      "0197",
      "--remove=b",
      "-h"
    ])
    expect(words("call -d tag")).toEqual(["call", "-d", "tag"])
    expect(words("--tenant tag list -b")).toEqual(["--tenant", "tag", "list", "-b"])
  })

  it("is left alone after two hyphens", () => {
    expect(words("tag 0197 -- -b --wait 5")).toEqual(["tag", "0197", "--", "-b", "--wait", "5"])
  })
})
