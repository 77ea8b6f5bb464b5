import { Effect } from "effect"

/** How much is done at a time, so that due calls get in between. */
export interface SweepLimits {
  /** Rows that are looked at in one step. */
  readonly rows: number
  /** Steps without a find before what was left over earlier rests until the next look. */
  readonly emptySteps: number
  /** What one unit of the writer changes. */
  readonly callsPerUnit: number
  readonly messagesPerUnit: number
  /** In the rows that it changes: what is erased is written over with zeros. */
  readonly bytesPerUnit: number
  /** Between two steps and between two units, in milliseconds. */
  readonly pauseMs: number
}

/** A step and a unit take about half a millisecond each, without the commit; with pauses, 1,500 to 3,000 calls a second go. */
export const SWEEP_LIMITS: SweepLimits = {
  rows: 500,
  emptySteps: 4,
  callsPerUnit: 24,
  messagesPerUnit: 320,
  bytesPerUnit: 512 * 1_024,
  pauseMs: 2
}

/** What a step has seen of the rows after a place. */
export interface Step {
  /** Their number. */
  readonly rows: number
  /** The place of the last of them; where there are none, that of the last row before, or the place itself. */
  readonly last: number
  /** Whether the last of them is old enough, and with it those before. */
  readonly isOld: boolean
  /** How many were pruned. */
  readonly pruned: number
}

/**
 * Goes through a table whose rows lie in the order of their age, again and again. Its front is where the rows become
 * too young to look at; it waits there, so each row is seen once when its time has come. What has to stay for longer
 * is left behind the front and looked at again a little at a time, so that a million of such rows cost next to nothing.
 *
 * @param step looks at `limits.rows` rows after a place and up to another, and prunes what it can of them
 * @returns an effect for each look, with the number of rows pruned
 */
export const makeSweep = <E, R>(
  step: (after: number, upTo: number) => Effect.Effect<Step, E, R>,
  { rows, emptySteps, pauseMs }: SweepLimits
): Effect.Effect<number, E, R> => {
  let front = 0
  let again = 0

  const sweepFront = Effect.gen(function* () {
    let pruned = 0
    for (;;) {
      const seen = yield* step(front, Number.MAX_SAFE_INTEGER)
      pruned += seen.pruned
      if (seen.rows > 0 && !seen.isOld) return pruned
      // Backwards, too: the places of rows that are gone from the end are given out anew.
      front = seen.last
      if (seen.rows < rows) return pruned
      yield* Effect.sleep(pauseMs)
    }
  })

  const sweepAgain = Effect.gen(function* () {
    let pruned = 0
    for (let empty = 0; empty < emptySteps; ) {
      const seen = yield* step(again, front)
      pruned += seen.pruned
      again = seen.rows < rows ? 0 : seen.last
      if (again === 0) return pruned
      if (seen.pruned === 0) empty++
      yield* Effect.sleep(pauseMs)
    }
    return pruned
  })

  return Effect.suspend(() => {
    // What the front sees in this look, it need not see twice.
    const leftovers = front === 0 ? Effect.succeed(0) : sweepAgain
    return Effect.zipWith(leftovers, sweepFront, (left, found) => left + found)
  })
}

/** Splits rows into what one unit may change. A single row may be larger than a unit. */
export const inUnits = <Row extends { readonly bytes: number }>(
  rows: ReadonlyArray<Row>,
  rowsMax: number,
  bytesMax: number
): ReadonlyArray<ReadonlyArray<Row>> => {
  const units: Array<Array<Row>> = []
  let bytes = 0
  for (const row of rows) {
    const unit = units.at(-1)
    bytes += row.bytes
    if (unit !== undefined && unit.length < rowsMax && bytes <= bytesMax) {
      unit.push(row)
      continue
    }
    units.push([row])
    bytes = row.bytes
  }
  return units
}
