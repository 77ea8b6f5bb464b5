/** Chance that repeats itself: the same seed, the same choices. */
export interface Random {
  /** A whole number from 0 to `below` - 1. */
  readonly int: (below: number) => number
  readonly chance: (probability: number) => boolean
  readonly pick: <A>(choices: ReadonlyArray<A>) => A
  /** Each item is kept with this probability. */
  readonly some: <A>(items: ReadonlyArray<A>, probability: number) => ReadonlyArray<A>
}

/** @param seeds whole numbers; every one of them changes the choices */
export const randomOf = (...seeds: ReadonlyArray<number>): Random => {
  let state = seeds.reduce((mixed, seed) => scramble(mixed ^ (seed | 0)), 0x9e3779b9)
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0
    return scramble(state) >>> 0
  }
  const int = (below: number): number => next() % below
  const chance = (probability: number): boolean => next() < probability * 2 ** 32
  return {
    int,
    chance,
    pick: (choices) => {
      const [choice] = choices.slice(int(choices.length))
      if (choice === undefined) throw new Error("nothing to pick from")
      return choice
    },
    some: (items, probability) => items.filter(() => chance(probability))
  }
}

const scramble = (value: number): number => {
  let bits = Math.imul(value ^ (value >>> 16), 0x7feb352d)
  bits = Math.imul(bits ^ (bits >>> 15), 0x846ca68b)
  return bits ^ (bits >>> 16)
}
