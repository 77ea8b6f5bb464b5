import { Random } from "../random.ts"
import { makeCalls } from "./plan.ts"

/** Whom a strike kills at once. An executor is one of the two, at random. */
export const STRIKE_KINDS = [
  "executor",
  "service",
  "broker",
  "both executors",
  "executor and service",
  "executor and broker",
  "service and broker"
] as const
export type StrikeKind = (typeof STRIKE_KINDS)[number]

export const EXECUTORS = ["executor 1", "executor 2"] as const
export type Part = "service" | "broker" | (typeof EXECUTORS)[number]

export interface PlannedStrike {
  readonly kind: StrikeKind
  readonly parts: ReadonlyArray<Part>
  /** Whether it first waits for what was to be done before it, so that the backlog stays small. */
  readonly catchesUp: boolean
  /** Milliseconds from then to the kill. */
  readonly afterMs: number
  /** Milliseconds from the kill to the restart. */
  readonly awayMs: number
}

export interface NatsPlanOptions {
  readonly seed: number
  readonly strikes: number
  readonly submissions: number
  /** How many of the calls may be sent again when their outcome is unknown, from 0 to 1. */
  readonly resendShare: number
}

/** Short, so that a lost attempt is known as such before long. */
export const TIMEOUT_MS = 1_000
const STRIKE_AFTER_MS_MAX = 500
const AWAY_MS_MAX = 1_500

/** What is submitted, and who dies when: all that chance decides. The same for the same seed. */
export const makeNatsPlan = ({ seed, strikes, submissions, resendShare }: NatsPlanOptions) => {
  const random = new Random(seed)
  const kinds: Array<StrikeKind> = []
  while (kinds.length < strikes) kinds.push(...random.shuffle(STRIKE_KINDS))
  return {
    strikes: kinds.slice(0, strikes).map(
      (kind): PlannedStrike => ({
        kind,
        parts: partsOf(kind, random.pick(EXECUTORS)),
        catchesUp: random.chance(0.7),
        afterMs: random.between(0, STRIKE_AFTER_MS_MAX),
        awayMs: random.chance(0.7) ? 0 : random.between(0, AWAY_MS_MAX)
      })
    ),
    calls: makeCalls({ submissions, resendShare, timeoutMs: TIMEOUT_MS }, random)
  }
}

const partsOf = (kind: StrikeKind, executor: Part): ReadonlyArray<Part> => {
  switch (kind) {
    case "executor":
      return [executor]
    case "service":
    case "broker":
      return [kind]
    case "both executors":
      return EXECUTORS
    case "executor and service":
      return [executor, "service"]
    case "executor and broker":
      return [executor, "broker"]
    case "service and broker":
      return ["service", "broker"]
  }
}
