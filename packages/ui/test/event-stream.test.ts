import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { makeEventParser, type StreamEvent } from "../src/lib/event-stream.ts"

const read = (pieces: ReadonlyArray<string>): ReadonlyArray<StreamEvent> => {
  const events: Array<StreamEvent> = []
  const parse = makeEventParser((event) => events.push(event))
  for (const piece of pieces) parse(piece)
  return events
}

const TEXT =
  "retry: 1000\r\n\r\nid: 6\nevent: ready\ndata: {}\n\n: beat\n\nid:7\r\ndata: a\r\ndata:b: c\r\n\r\ndata\n\nevent: x\n\n"

describe("server-sent events", () => {
  it("are read by field, several lines of data as one text", () => {
    expect(read([TEXT])).toEqual([
      { id: "6", type: "ready", data: "{}" },
      { id: "7", type: "message", data: "a\nb: c" },
      { id: "7", type: "message", data: "" }
    ])
  })

  it("are the same however the text is cut", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(TEXT.length)), (cuts) => {
        const ends = [...cuts, TEXT.length].sort((a, b) => a - b)
        expect(read(ends.map((end, index) => TEXT.slice(ends[index - 1] ?? 0, end)))).toEqual(read([TEXT]))
      })
    )
  })

  it("are given up when one has no end", () => {
    expect(() => read(["data: ", "x".repeat(2_000_000)])).toThrow("no end")
    expect(read(["data: x\n\n"])).toHaveLength(1)
  })
})
