import { afterAll, describe, expect, it } from "vitest"
import { openDisk } from "./disk.ts"
import { mutants } from "./mutants.ts"
import { simulate } from "./simulate.ts"

/** Worlds of a run: `SIMULATION_SEEDS=10000` for more, `SIMULATION_SEED=123` for one, which then tells its story. */
const SEEDS = Number(process.env["SIMULATION_SEEDS"] ?? 200)
const ONLY = process.env["SIMULATION_SEED"]
const PARTS = 10
const SEEDS_TWICE = 5
/** A mistake has to show in one of so many. */
const SEEDS_OF_MISTAKE = 200
/** Far above what they take: the machine may be busy. */
const WORLD_MS_MAX = 5_000

const disk = openDisk()
afterAll(disk.close)

const failuresOf = (seed: number): ReadonlyArray<string> =>
  simulate(seed, disk).violations.map(
    (violation) => `${violation}. SIMULATION_SEED=${seed} bun test packages/server/test/simulation`
  )

/** Numbers from the first to before the end. */
const range = (first: number, end: number) => Array.from({ length: end - first }, (_, index) => first + index)

if (ONLY !== undefined) {
  it(`keeps every promise in world ${ONLY}`, () => {
    const { violations, trace } = simulate(Number(ONLY), disk)
    console.log(trace.join("\n"))
    expect(violations).toEqual([])
  })
} else {
  describe("whatever crashes, stops, refuses, repeats or comes late", () => {
    for (const part of range(0, PARTS)) {
      const seeds = range(Math.round((part * SEEDS) / PARTS), Math.round(((part + 1) * SEEDS) / PARTS))
      it(
        `every promise is kept in the worlds ${seeds[0]} to ${seeds.at(-1)}`,
        () => expect(seeds.flatMap(failuresOf)).toEqual([]),
        Math.max(1, seeds.length) * WORLD_MS_MAX
      )
    }

    it(
      "the same seed gives the same messages and sends, byte for byte",
      () => {
        for (const seed of range(0, SEEDS_TWICE)) {
          const { log, trace } = simulate(seed, disk)
          expect(simulate(seed, disk)).toMatchObject({ log, trace })
        }
      },
      2 * SEEDS_TWICE * WORLD_MS_MAX
    )
  })

  describe("a mistake is found", () => {
    for (const [mistake, { breaks, mutant }] of Object.entries(mutants)) {
      const isFound = (seed: number) => simulate(seed, disk, mutant).violations.some((text) => breaks.test(text))
      it(mistake, () => expect(range(0, SEEDS_OF_MISTAKE).some(isFound)).toBe(true), SEEDS_OF_MISTAKE * WORLD_MS_MAX)
    }
  })
}
