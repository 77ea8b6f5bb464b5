/** Chance that repeats itself: the same seed, the same choices. */
export class Random {
  #state: number

  /** @param seeds whole numbers; every one of them changes the choices */
  constructor(...seeds: ReadonlyArray<number>) {
    this.#state = seeds.reduce((mixed, seed) => scramble(mixed ^ (seed | 0)), 0x9e3779b9)
  }

  /** At least 0 and below 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    return (scramble(this.#state) >>> 0) / 2 ** 32
  }

  /** A whole number from 0 to `below` - 1. */
  int(below: number): number {
    return Math.floor(this.next() * below)
  }

  /** A whole number, both ends included. */
  between(min: number, max: number): number {
    return min + this.int(max - min + 1)
  }

  chance(probability: number): boolean {
    return this.next() < probability
  }

  pick<A>(choices: ReadonlyArray<A>): A {
    for (const choice of choices.slice(this.int(choices.length))) return choice
    throw new Error("there is nothing to pick from")
  }

  /** Each item is kept with this probability. */
  some<A>(items: ReadonlyArray<A>, probability: number): ReadonlyArray<A> {
    return items.filter(() => this.chance(probability))
  }

  shuffle<A>(items: ReadonlyArray<A>): ReadonlyArray<A> {
    return items
      .map((item) => ({ item, place: this.next() }))
      .sort((a, b) => a.place - b.place)
      .map(({ item }) => item)
  }
}

const scramble = (value: number): number => {
  let bits = Math.imul(value ^ (value >>> 16), 0x7feb352d)
  bits = Math.imul(bits ^ (bits >>> 15), 0x846ca68b)
  return bits ^ (bits >>> 16)
}
