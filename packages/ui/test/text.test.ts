import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { pretty } from "../src/lib/pretty.ts"
import { visibleLine, visibleText } from "../src/lib/visible-text.ts"

describe("text from elsewhere", () => {
  it("shows what hides in it", () => {
    expect(visibleText("a\u0000\u001b[1m\u202eb\u200b\n\tc")).toBe("a\\u0000\\u001b[1m\\u202eb\\u200b\n\tc")
    expect(visibleLine("a\n\tb")).toBe("a\\u000a\\u0009b")
    expect(visibleText("<b>grüße 👋</b>")).toBe("<b>grüße 👋</b>")
  })

  it("is indented when it is JSON, and is otherwise as it was", () => {
    expect(pretty('{"a":[1,{}],"b":"x,{y}: \\"z\\""}')).toBe(
      '{\n  "a": [\n    1,\n    {}\n  ],\n  "b": "x,{y}: \\"z\\""\n}'
    )
    expect(pretty('{"id":12345678901234567890}')).toBe('{\n  "id": 12345678901234567890\n}')
    for (const text of ["", "<p>", '{"a":', "12", '"x"']) expect(pretty(text)).toBe(text)
    const document = fc.oneof(fc.array(fc.jsonValue()), fc.dictionary(fc.string(), fc.jsonValue()))
    fc.assert(
      fc.property(document, (value) => {
        const text = JSON.stringify(value)
        expect(pretty(text)).toBe(JSON.stringify(JSON.parse(text), null, 2))
      })
    )
  })
})
