import { describe, expect, it } from "vitest"
import type { Contender } from "../src/contender.ts"
import { goalsOf } from "../src/goals.ts"
import { readOptions } from "../src/options.ts"
import { toSvg } from "../src/plot.ts"
import { toMarkdown } from "../src/report.ts"
import { type Results, runWorkload } from "../src/results.ts"
import { median, percentile } from "../src/statistics.ts"
import { QUICK, type Subject, type Workload } from "../src/workload.ts"

const perSecond = { key: "perSecond", title: "calls a second", unit: "calls/s", better: "more" } as const

/** A workload whose subjects give these figures, round after round; an error where a figure is null. */
const scripted = (figures: Readonly<Record<string, ReadonlyArray<number | null>>>): Workload => ({
  name: "now",
  describe: () => "scripted",
  figures: [perSecond],
  reference: () => "floor",
  subjects: () =>
    Object.entries(figures).map(([name, values]): Subject => {
      const rest = values.values()
      return {
        name,
        measure: async () => {
          const { value } = rest.next()
          if (typeof value !== "number") throw new Error("it did not start")
          return { values: { perSecond: value }, problems: [] }
        },
        cleanUp: () => {}
      }
    })
})

const run = (figures: Parameters<typeof scripted>[0], rounds: number) =>
  runWorkload(scripted(figures), [], QUICK, rounds, () => {})

const resultsOf = async (figures: Parameters<typeof scripted>[0], rounds: number): Promise<Results> => ({
  startedAt: "2026-11-21T10:00:00.000Z",
  endedAt: "2026-11-21T10:30:00.000Z",
  command: "bun run bench",
  rounds,
  sizes: QUICK,
  machine: "a machine",
  load: [0.1, 1],
  contenders: [
    { name: "floor", settings: "by hand", missing: null },
    { name: "bullmq", settings: "1.2.3", missing: "redis-server is not on PATH" }
  ],
  workloads: [await run(figures, rounds)]
})

describe("results", () => {
  it("put each round in proportion to the reference in the same round", async () => {
    const { subjects } = await run({ floor: [100, 200, 400], "event-service-agent": [50, 50, 100] }, 3)
    expect(subjects[1]?.figures).toEqual({ perSecond: { median: 50, rounds: [50, 50, 100], ratio: 0.25 } })
  })

  it("have the figures of the others when one fails, and of the rounds in which it did not", async () => {
    const { subjects } = await run({ floor: [100, 100], bullmq: [null, 40], "pg-boss": [null, null] }, 2)
    expect(subjects.map(({ figures }) => figures["perSecond"]?.rounds)).toEqual([[100, 100], [40], undefined])
    expect(subjects.map(({ problems }) => problems.length)).toEqual([0, 1, 1])
    expect(subjects[1]?.figures["perSecond"]?.ratio).toBe(0.4)
  })

  it("say which goals are reached", async () => {
    const reached = async (ours: number) =>
      goalsOf(await resultsOf({ floor: [100], "event-service-agent": [ours], bullmq: [30], bunqueue: [20] }, 1)).map(
        ({ measured, isReached }) => [measured, isReached]
      )
    expect(await reached(60)).toEqual([
      ["0.6 × the floor", true],
      ["2 × bullmq", true]
    ])
    expect(await reached(40)).toEqual([
      ["0.4 × the floor", false],
      ["1.33 × bullmq", false]
    ])
  })

  it("name what is missing and what failed in the table", async () => {
    const markdown = toMarkdown(await resultsOf({ floor: [1_000], "event-service-agent": [null] }, 1))
    expect(markdown).toContain("| bullmq | missing: redis-server is not on PATH |")
    expect(markdown).toContain("| floor | 1,000 (1.0 ×) |")
    expect(markdown).toContain("| event-service-agent | – |")
    expect(markdown).toContain("- event-service-agent: it did not start")
  })

  it("are drawn as a picture that is well-formed, with a bar and a value for each", async () => {
    const svg = toSvg(await resultsOf({ floor: [13_000], "event-service-agent": [650], "<&>": [3_800] }, 1))
    expect(svg.match(/<rect class="(bar|ours)"/g)).toHaveLength(3)
    expect(svg).toContain(">650</text>")
    expect(svg).toContain("&lt;&amp;&gt;")
    expect(svg).toContain("prefers-color-scheme: dark")
    expect(svg).not.toContain("NaN")
    const open: Array<string> = []
    for (const [, close, name = "", self] of svg.matchAll(/<(\/?)([a-z]+)[^>]*?(\/?)>/g)) {
      if (close === "/") expect(open.pop()).toBe(name)
      else if (self !== "/") open.push(name)
    }
    expect(open).toEqual([])
  })
})

it("percentiles are values that were measured, and the middle of an even number lies between two", () => {
  const hundred = Array.from({ length: 100 }, (_, index) => index + 1)
  expect([0, 0.5, 0.99, 1].map((share) => percentile(hundred, share))).toEqual([1, 50, 99, 100])
  expect(median([3, 1, 2])).toBe(2)
  expect(median([4, 1, 2, 3])).toBe(2.5)
  expect(median([])).toBeNaN()
})

describe("options", () => {
  const contenders: ReadonlyArray<Pick<Contender, "name">> = [{ name: "floor" }, { name: "bullmq" }]
  const names = { workloads: ["now", "due"], contenders: contenders.map(({ name }) => name) }
  const read = (...args: ReadonlyArray<string>) => readOptions(args, names, new Date("2026-11-21T10:20:30Z"))

  it("choose workloads, contenders or both", () => {
    expect(read()).toMatchObject({ ...names, rounds: 3, docs: undefined })
    expect(read("--only", "due")).toMatchObject({ workloads: ["due"], contenders: names.contenders })
    expect(read("--only", "now, bullmq")).toMatchObject({ workloads: ["now"], contenders: ["bullmq"] })
    expect(read("--quick")).toMatchObject({ sizes: QUICK, rounds: 1 })
    expect(read().resultsPath).toMatch(/results\/2026-11-21T1020\.json$/)
  })

  it("refuse what they do not know", () => {
    expect(() => read("--only", "later")).toThrow("unknown: later. There are now, due, floor, bullmq")
    expect(() => read("--rounds", "0")).toThrow("whole number")
    expect(() => read("--fast")).toThrow()
  })
})
