import { Random } from "../random.ts"

/** Where the service ends its own process. The entry point `faulty-main.ts` knows how. */
export const FAILPOINTS = [
  "before-claim-commit",
  "after-claim-commit",
  "after-response",
  "before-outcome-commit",
  "after-outcome-commit",
  "during-recovery"
] as const
export type Failpoint = (typeof FAILPOINTS)[number]

/** The harness kills: at a random moment, when a client has its 202, when the target has the request. */
const SHOTS = ["random", "after-acknowledgement", "after-bytes-left"] as const
export type KillKind = (typeof SHOTS)[number] | Failpoint
export const KILL_KINDS: ReadonlyArray<KillKind> = [...SHOTS, ...FAILPOINTS]

export const isFailpoint = (kind: KillKind): kind is Failpoint => !SHOTS.some((shot) => shot === kind)

const METHODS = ["GET", "PUT", "DELETE", "POST", "PATCH"] as const

export interface PlannedKill {
  readonly kind: KillKind
  /** Whether a random one first waits for what was to be done before it, so that the backlog stays small. */
  readonly catchesUp: boolean
  /** Milliseconds from then, or from the start that is ready, to a random kill. */
  readonly afterMs: number
  /** A named one happens when its point is passed for this time, counted from 1. */
  readonly hit: number
}

export interface PlannedCall {
  readonly number: number
  readonly tenant: string
  /** Without a key a client cannot know whether it may submit again, and so does not. */
  readonly key: string | null
  readonly method: (typeof METHODS)[number]
  /** Milliseconds from the submission; `null` is now. */
  readonly dueInMs: number | null
  readonly timeoutMs: number
  readonly onUnknown: "fail" | "resend"
  /** The target's answer, and how long it takes. */
  readonly status: number
  readonly answerAfterMs: number
  /** Submitted once more after the acknowledgement. */
  readonly isRepeated: boolean
  /** Milliseconds from the acknowledgement to the request to cancel; `null` is never. */
  readonly cancelAfterMs: number | null
}

export interface PlanOptions {
  readonly seed: number
  readonly kills: number
  readonly submissions: number
  /** What happens, `random` among it; each at least once when there are enough kills. */
  readonly kinds: ReadonlyArray<KillKind>
  /** How many of the calls may be sent again when their outcome is unknown, from 0 to 1. */
  readonly resendShare: number
}

export const TENANTS = ["acme", "globex", "initech", "umbrella"] as const
/** Each round has to bring enough sends for its failpoint. */
export const SUBMISSIONS_PER_KILL_MIN = 20
export const TIMEOUT_MS = 5_000
export const DUE_IN_MS_MAX = 2_000
const HITS_MAX = 5
const KILL_AFTER_MS_MAX = 300
const ANSWER_AFTER_MS_MAX = 150
/** These time out. */
const IMPATIENT = { timeoutMs: 100, answerAfterMs: 300 }

/** What is submitted and when the process dies: all that chance decides. The same for the same seed. */
export const makePlan = ({ seed, kills, submissions, kinds, resendShare }: PlanOptions) => {
  const random = new Random(seed)
  return {
    kills: orderOf(kinds, kills, random).map(
      (kind): PlannedKill => ({
        kind,
        catchesUp: random.chance(0.7),
        afterMs: random.between(0, KILL_AFTER_MS_MAX),
        hit: kind === "during-recovery" ? 1 : random.between(1, HITS_MAX)
      })
    ),
    calls: makeCalls({ submissions, resendShare, timeoutMs: TIMEOUT_MS }, random)
  }
}

export interface CallOptions extends Pick<PlanOptions, "submissions" | "resendShare"> {
  /** Of those that are answered in time. */
  readonly timeoutMs: number
}

export const makeCalls = (
  { submissions, resendShare, timeoutMs }: CallOptions,
  random: Random
): ReadonlyArray<PlannedCall> =>
  Array.from({ length: submissions }, (_, number): PlannedCall => {
    const method = random.pick(METHODS)
    const isPatient = !random.chance(0.02)
    const answerAfterMs = random.between(0, ANSWER_AFTER_MS_MAX)
    return {
      number,
      tenant: random.pick(TENANTS),
      key: random.chance(0.1) ? null : `key-${number}`,
      method,
      dueInMs: random.chance(0.6) ? null : random.between(0, DUE_IN_MS_MAX),
      ...(isPatient ? { timeoutMs, answerAfterMs } : IMPATIENT),
      onUnknown: random.chance(resendShare) ? "resend" : "fail",
      status: random.chance(0.05) ? 503 : 200,
      isRepeated: random.chance(0.05),
      cancelAfterMs: random.chance(0.05) ? random.between(0, 300) : null
    }
  })

/** The first kinds in turn, so that each happens, then random ones; all of them shuffled. */
const orderOf = (kinds: ReadonlyArray<KillKind>, kills: number, random: Random): ReadonlyArray<KillKind> => {
  const groups: Array<ReadonlyArray<KillKind>> = []
  for (let rest = kills; rest > 0; rest -= groups.at(-1)?.length ?? rest) {
    const kind = kinds[groups.length] ?? (random.chance(0.5) ? "random" : random.pick(kinds))
    // There is something to recover from when an answer could not be recorded.
    if (kind === "during-recovery") groups.push(rest > 1 ? ["after-response", kind] : ["random"])
    else groups.push([kind])
  }
  return random.shuffle(groups).flat()
}
