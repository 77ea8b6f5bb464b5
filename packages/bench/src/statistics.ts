/** The value below which the share of the ascending values lies (nearest rank); NaN of none. */
export const percentile = (ascending: ReadonlyArray<number>, share: number): number =>
  ascending[Math.min(ascending.length - 1, Math.max(0, Math.ceil(ascending.length * share) - 1))] ?? Number.NaN

/** The one in the middle, or halfway between the two; NaN of none. */
export const median = (values: ReadonlyArray<number>): number => {
  const ascending = [...values].sort((a, b) => a - b)
  const upper = ascending[Math.floor(ascending.length / 2)] ?? Number.NaN
  return (percentile(ascending, 0.5) + upper) / 2
}

/** Four significant digits: measurements have no more. */
export const rounded = (value: number): number => Number(value.toPrecision(4))
