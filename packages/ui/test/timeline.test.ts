import { describe, expect, it } from "vitest"
import { stepsOf } from "../src/lib/timeline.ts"

const at = (second: number) => new Date(Date.UTC(2026, 0, 1, 0, 0, second)).toISOString()
const call = {
  acceptedAt: at(0),
  dueAt: at(10),
  finishedAt: null,
  history: [],
  attempt: null,
  status: "Scheduled"
} as const
const told = (of: Parameters<typeof stepsOf>[0]) => stepsOf(of).map(({ name, afterMs }) => [name, afterMs])

describe("the timeline of a call", () => {
  it("tells when each step was, and how long after the one before", () => {
    const ended = {
      ...call,
      status: "Succeeded",
      attempt: { number: 1, startedAt: at(11) },
      finishedAt: at(15)
    } as const
    expect(told(ended)).toEqual([
      ["Submitted", null],
      ["Due", 10_000],
      ["Started", 1_000],
      ["Succeeded", 4_000]
    ])
  })

  it("leaves open what has not happened", () => {
    expect(told({ ...call, dueAt: at(0) })).toEqual([
      ["Submitted", null],
      ["Due", 0],
      ["Started", null],
      ["Finished", null]
    ])
  })

  it("has no start where a call was cancelled, which may be before it was due", () => {
    expect(told({ ...call, status: "Cancelled", finishedAt: at(4) })).toEqual([
      ["Submitted", null],
      ["Cancelled", 4_000],
      ["Due", 6_000]
    ])
  })
})
