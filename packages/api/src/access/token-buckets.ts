const SECOND_NANOS = 1_000_000_000n

interface Bucket {
  readonly tokens: number
  readonly atNanos: bigint
}

/**
 * One bucket for each name: it holds what one second brings, and fills all the time. Only buckets that are not full
 * are kept: those of the last second.
 *
 * @param rate tokens a second
 */
export const makeTokenBuckets = (rate: number) => {
  /** The one that was used longest ago first. */
  const buckets = new Map<string, Bucket>()

  const dropFull = (nanos: bigint) => {
    for (const [name, { atNanos }] of buckets) {
      if (nanos - atNanos < SECOND_NANOS) return
      buckets.delete(name)
    }
  }

  return {
    /**
     * Takes a token.
     *
     * @param nanos on a clock that never goes back
     * @returns how many are left, or `undefined` when there is none to take
     */
    take: (name: string, nanos: bigint): number | undefined => {
      dropFull(nanos)
      const { tokens, atNanos } = buckets.get(name) ?? { tokens: rate, atNanos: nanos }
      const filled = Math.min(rate, tokens + (Number(nanos - atNanos) / Number(SECOND_NANOS)) * rate)
      const isTaken = filled >= 1
      buckets.delete(name)
      buckets.set(name, { tokens: isTaken ? filled - 1 : filled, atNanos: nanos })
      return isTaken ? Math.floor(filled - 1) : undefined
    },
    /** Buckets that are kept. */
    size: (): number => buckets.size
  }
}
