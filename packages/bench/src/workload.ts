import type { Contender } from "./contender.ts"

/** A kind of figure that a workload measures. */
export interface FigureKind {
  readonly key: string
  readonly title: string
  readonly unit: "calls/s" | "ms" | "µs" | "% of a core" | "MiB" | "bytes"
  readonly better: "more" | "less"
}

export interface Measured {
  /** By the figure's key. What could not be measured is left out. */
  readonly values: Readonly<Record<string, number>>
  /** What went otherwise than it should, in a sentence each. */
  readonly problems: ReadonlyArray<string>
}

/** What takes part in a workload: a contender, or one of its states. */
export interface Subject {
  readonly name: string
  /** Once, before the first round. */
  readonly prepare?: () => Promise<void>
  /** Once in each round. */
  readonly measure: () => Promise<Measured>
  /** Once, after the last round. */
  readonly cleanUp: () => void
}

export interface Workload {
  readonly name: string
  readonly describe: (sizes: Sizes) => string
  readonly figures: ReadonlyArray<FigureKind>
  /** The subject to which the others are put in proportion. */
  readonly reference: (sizes: Sizes) => string
  readonly subjects: (contenders: ReadonlyArray<Contender>, sizes: Sizes) => ReadonlyArray<Subject>
}

/** How much of everything. Counts of calls, unless the name says otherwise. */
export interface Sizes {
  readonly clients: number
  readonly warmUp: number
  readonly now: number
  readonly due: number
  readonly duePerSecond: number
  readonly burst: number
  readonly armed: number
  readonly submit: number
  readonly idleArmed: number
  readonly idleMs: number
  readonly size: number
  readonly stored: ReadonlyArray<number>
  readonly growth: number
  readonly reads: number
}

export const FULL: Sizes = {
  clients: 64,
  warmUp: 5_000,
  now: 10_000,
  due: 3_000,
  duePerSecond: 500,
  burst: 10_000,
  armed: 1_000_000,
  submit: 10_000,
  idleArmed: 1_000,
  idleMs: 30_000,
  size: 5_000,
  stored: [10_000, 100_000, 1_000_000],
  growth: 2_000,
  reads: 200
}

/** For a trial: shows that everything works, and says little about speed. */
export const QUICK: Sizes = {
  clients: 64,
  warmUp: 200,
  now: 1_000,
  due: 500,
  duePerSecond: 250,
  burst: 500,
  armed: 5_000,
  submit: 500,
  idleArmed: 100,
  idleMs: 2_000,
  size: 500,
  stored: [500, 2_000],
  growth: 300,
  reads: 30
}

export const withThousands = (count: number): string => count.toLocaleString("en-US")
