import { countingTarget } from "../counting-target.ts"
import { Load } from "./load.ts"
import { observe, untilAllEnded } from "./observe.ts"
import { DUE_IN_MS_MAX, KILL_KINDS, makePlan, SUBMISSIONS_PER_KILL_MIN, TIMEOUT_MS } from "./plan.ts"
import { startService, strike, type Victim } from "./strike.ts"
import { END_MS_MAX, violationsOf } from "./violations.ts"

export const SEED_MAX = 2 ** 31
const RESEND_SHARE = 0.3
const PROGRESS_EVERY = 25
/** Kills that go otherwise than planned, after which going on is of no use. */
const PROBLEMS_MAX = 5

export interface ChaosOptions {
  readonly seed: number
  readonly kills: number
  readonly submissions: number
  /** SIGTERM lets the service finish its sends; failpoints are for SIGKILL alone. */
  readonly signal: Victim["signal"]
  /** For the database; it has to be empty. */
  readonly folder: string
  /** A program that is broken on purpose. */
  readonly mutant?: Victim["mutant"]
  readonly onProgress?: (line: string) => void
}

export interface ChaosReport {
  readonly violations: ReadonlyArray<string>
  /** By kind, those that went as planned. */
  readonly kills: Readonly<Record<string, number>>
  readonly submitted: number
  readonly acknowledged: number
  /** Claimed, whether or not a request came of it. */
  readonly attempts: number
  readonly requests: number
  /** The calls by their status. */
  readonly calls: Readonly<Record<string, number>>
  /** Calls whose outcome is unknown, by whether the target got a request. */
  readonly unknown: { readonly sent: number; readonly unsent: number }
  /** Calls that had a second attempt. */
  readonly resent: number
  /** Milliseconds from a signal to the exit, the longest. */
  readonly slowestExitMs: number
  readonly seconds: number
}

/** What to type for the same run again. */
export const commandOf = ({ seed, kills, submissions, signal, mutant }: Omit<ChaosOptions, "folder">): string =>
  `bun run chaos --seed ${seed} --kills ${kills} --submissions ${submissions} --signal ${signal}` +
  (mutant === undefined ? "" : ` --mutant ${mutant}`)

/** Loads the service, kills it again and again, and looks at what has become of the calls. */
export const runChaos = (options: ChaosOptions): Promise<ChaosReport> =>
  run(options).catch((cause: unknown) => {
    throw new Error(`it broke off; once more: ${commandOf(options)}`, { cause })
  })

const run = async (options: ChaosOptions): Promise<ChaosReport> => {
  const { seed, kills, submissions, signal, folder, mutant, onProgress = () => {} } = options
  if (submissions < kills * SUBMISSIONS_PER_KILL_MIN) {
    throw new RangeError(`there have to be at least ${SUBMISSIONS_PER_KILL_MIN} submissions per kill`)
  }
  const startedAt = performance.now()
  const seconds = () => Math.round((performance.now() - startedAt) / 100) / 10
  const plan = makePlan({
    seed,
    kills,
    submissions,
    kinds: signal === "SIGKILL" ? KILL_KINDS : ["random"],
    // The mutant's second requests only show where none is allowed.
    resendShare: mutant === undefined ? RESEND_SHARE : 0
  })
  await using target = countingTarget(async ({ path }) => {
    victim.onArrival()
    const call = plan.calls[Number(path.slice(1))]
    await Bun.sleep(call?.answerAfterMs ?? 0)
    return new Response("ok", { status: call?.status ?? 404 })
  })
  using load = new Load(plan.calls, target.url)
  const victim: Victim = {
    folder,
    signal,
    mutant,
    targetHost: target.host,
    load,
    onArrival: () => {},
    slowestExitMs: 0
  }

  const shareOf = (count: number) => Math.ceil((submissions * count) / kills)
  const problems: Array<string> = []
  const killed: Array<string> = []
  for (const [index, kill] of plan.kills.entries()) {
    load.release(shareOf(index + 1))
    const problem = await strike(victim, kill, shareOf(index))
    if (problem === undefined) killed.push(kill.kind)
    else problems.push(`kill ${index + 1}, ${kill.kind}: ${problem}`)
    if (problems.length === PROBLEMS_MAX) break
    if ((index + 1) % PROGRESS_EVERY === 0) {
      onProgress(`kill ${index + 1}: ${load.receipts.length} submitted, ${target.count} requests, ${seconds()} s`)
    }
  }
  const lastKillAt = Date.now()
  load.release(submissions)

  await using service = await startService(victim)
  load.url = service.url
  await load.done
  onProgress(`all submitted, ${seconds()} s`)
  await untilAllEnded(service, DUE_IN_MS_MAX + TIMEOUT_MS + END_MS_MAX)
  const seen = await observe(service)
  const isDrained = signal === "SIGTERM"
  const { receipts } = load
  const violations = violationsOf({ ...seen, receipts, arrivals: target.byKey, lastKillAt, isDrained })
  const unknown = seen.details.filter(({ failure }) => failure?.kind === "OutcomeUnknown")
  const sent = unknown.filter(({ serviceCallId }) => target.byKey.has(serviceCallId)).length
  return {
    violations: [...problems, ...load.problems, ...violations],
    kills: countsOf(killed),
    submitted: receipts.length,
    acknowledged: receipts.filter(({ serviceCallId }) => serviceCallId !== null).length,
    attempts: seen.details.reduce((sum, { attempt }) => sum + (attempt?.number ?? 0), 0),
    requests: target.count,
    calls: countsOf(seen.details.map(({ status }) => status)),
    unknown: { sent, unsent: unknown.length - sent },
    resent: seen.details.filter(({ attempt }) => attempt?.number === 2).length,
    slowestExitMs: Math.round(victim.slowestExitMs),
    seconds: seconds()
  }
}

export const countsOf = (names: ReadonlyArray<string>): Readonly<Record<string, number>> =>
  Object.fromEntries([...Map.groupBy(names, (name) => name)].map(([name, all]) => [name, all.length]))
