import { live } from "@event-service-agent/platform/testing"
import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import { inUnits, makeSweep, SWEEP_LIMITS } from "../../src/sqlite/sweep.ts"

interface Row {
  readonly place: number
  readonly age: number
  readonly stays?: boolean
}

/** A table in memory whose rows are old from the age of 10 on. */
const sweptTable = (limits: { readonly rows: number; readonly emptySteps: number }) => {
  let rows: ReadonlyArray<Row> = []
  let steps = 0
  const look = makeSweep(
    (after, upTo) =>
      Effect.sync(() => {
        steps++
        const seen = rows.filter(({ place }) => place > after && place <= upTo).slice(0, limits.rows)
        const gone = new Set(seen.filter(({ age, stays }) => age >= 10 && stays !== true))
        rows = rows.filter((row) => !gone.has(row))
        const last = seen.at(-1)
        const end = Math.min(after, rows.at(-1)?.place ?? 0)
        return { rows: seen.length, last: last?.place ?? end, isOld: (last?.age ?? 0) >= 10, pruned: gone.size }
      }),
    { ...SWEEP_LIMITS, ...limits, pauseMs: 0 }
  )
  return {
    look,
    places: () => rows.map(({ place }) => place),
    stepsOf: Effect.fnUntraced(function* (looking: typeof look) {
      const before = steps
      yield* looking
      return steps - before
    }),
    fill: (filled: ReadonlyArray<Row>) => {
      rows = [...rows, ...filled]
    },
    letGo: (place: number) => {
      rows = rows.map((row) => (row.place === place ? { ...row, stays: false } : row))
    },
    pass: (time: number) => {
      rows = rows.map((row) => ({ ...row, age: row.age + time }))
    }
  }
}

const rowsFrom = (first: number, count: number, row: Omit<Row, "place">): ReadonlyArray<Row> =>
  Array.from({ length: count }, (_, index) => ({ ...row, place: first + index }))

describe("a sweep", () => {
  it(
    "takes what has become old with the next look, however much had to stay before it",
    live(
      Effect.gen(function* () {
        const table = sweptTable({ rows: 10, emptySteps: 2 })
        table.fill([...rowsFrom(1, 1_000, { age: 10, stays: true }), ...rowsFrom(1_001, 25, { age: 9 })])
        table.fill(rowsFrom(1_026, 1_000, { age: 0 }))
        yield* table.look
        expect(table.places()).toHaveLength(2_025)
        table.pass(1)
        // Two of what stays, three that are old, of which the last meets the young ones.
        expect(yield* table.stepsOf(table.look)).toBe(5)
        expect(table.places()).toHaveLength(2_000)
        // Nothing is old any more: two of what stays, one at the front.
        expect(yield* table.stepsOf(table.look)).toBe(3)
      })
    )
  )

  it(
    "comes back to what had to stay, a little with each look",
    live(
      Effect.gen(function* () {
        const table = sweptTable({ rows: 10, emptySteps: 2 })
        table.fill(rowsFrom(1, 100, { age: 10, stays: true }))
        yield* table.look
        table.letGo(95)
        // Twenty rows with each look.
        for (let look = 0; look < 4; look++) yield* table.look
        expect(table.places()).toHaveLength(100)
        yield* table.look
        expect(table.places()).toHaveLength(99)
      })
    )
  )

  it(
    "finds rows at places that were given out before, once the table was empty",
    live(
      Effect.gen(function* () {
        const table = sweptTable({ rows: 10, emptySteps: 1 })
        table.fill(rowsFrom(1, 1_000, { age: 10 }))
        yield* table.look
        yield* table.look
        expect(table.places()).toEqual([])
        table.fill([...rowsFrom(1, 100, { age: 10, stays: true }), ...rowsFrom(101, 20, { age: 10 })])
        yield* table.look
        expect(table.places()).toHaveLength(100)
      })
    )
  )
})

describe("the units of a sweep", () => {
  it("hold so many rows and so many bytes, and a larger row alone", () => {
    const sizesIn = (bytes: ReadonlyArray<number>) =>
      inUnits(
        bytes.map((bytes) => ({ bytes })),
        3,
        100
      ).map((unit) => unit.map((row) => row.bytes))
    expect(sizesIn([1, 1, 1, 1])).toEqual([[1, 1, 1], [1]])
    expect(sizesIn([60, 40, 1, 500, 1, 99])).toEqual([[60, 40], [1], [500], [1, 99]])
    expect(sizesIn([])).toEqual([])
  })
})
