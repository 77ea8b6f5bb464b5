import { catalogue } from "@event-service-agent/schemas/messages/catalogue"
import { countingTarget } from "../counting-target.ts"
import { readEvents } from "../nats/streams.ts"
import { stored } from "../stored.ts"
import { until } from "../until.ts"
import { Load } from "./load.ts"
import { makeNatsPlan, type Part, TIMEOUT_MS } from "./nats-plan.ts"
import { isUnknown, type StoredAttempt, type StoredEvent, violationsElsewhere } from "./nats-violations.ts"
import { EXECUTOR_IN_FLIGHT_MAX, NatsWorld } from "./nats-world.ts"
import { backlogOf, observe, untilAllEnded } from "./observe.ts"
import { DUE_IN_MS_MAX } from "./plan.ts"
import { type ChaosReport, countsOf } from "./run-chaos.ts"
import { END_MS_MAX, violationsOf } from "./violations.ts"

const RESEND_SHARE = 0.3
const PROGRESS_EVERY = 10
/** Strikes that go otherwise than planned, after which going on is of no use. */
const PROBLEMS_MAX = 5
/** Messages that may wait when a strike has let everything catch up. */
const BACKLOG_MAX = 60
const CATCH_UP_MS_MAX = 30_000
const UNDER_WAY_MIN = 4
const UNDER_WAY_MS_MAX = 500
const POLL_MS = 20

export interface NatsChaosOptions {
  readonly seed: number
  readonly strikes: number
  readonly submissions: number
  /** For the database; it has to be empty. */
  readonly folder: string
  /** Executors that are broken on purpose. */
  readonly mutant?: "send-first" | undefined
  readonly onProgress?: (line: string) => void
}

export interface NatsChaosReport
  extends Pick<
    ChaosReport,
    "violations" | "submitted" | "acknowledged" | "attempts" | "requests" | "calls" | "resent" | "seconds"
  > {
  /** By kind. */
  readonly strikes: Readonly<Record<string, number>>
  /** First attempts whose outcome is unknown, by whether the target got a request, and what executors said too late. */
  readonly unknown: { readonly sent: number; readonly unsent: number; readonly late: number }
  /** What is there to read for everybody, with what is there twice. */
  readonly events: { readonly stored: number; readonly seen: number }
}

/** What to type for the same run again. */
export const natsCommandOf = ({ seed, strikes, submissions, mutant }: Omit<NatsChaosOptions, "folder">): string =>
  `bun run chaos --nats --seed ${seed} --kills ${strikes} --submissions ${submissions}` +
  (mutant === undefined ? "" : ` --mutant ${mutant}`)

/** Loads a service with its executors elsewhere, kills them and the broker again and again, and looks at the calls. */
export const runNatsChaos = (options: NatsChaosOptions): Promise<NatsChaosReport> =>
  run(options).catch((cause: unknown) => {
    throw new Error(`it broke off; once more: ${natsCommandOf(options)}`, { cause })
  })

const run = async (options: NatsChaosOptions): Promise<NatsChaosReport> => {
  const { seed, strikes, submissions, folder, mutant, onProgress = () => {} } = options
  const startedAt = performance.now()
  const seconds = () => Math.round((performance.now() - startedAt) / 100) / 10
  // The mutant's second requests only show where none is allowed.
  const plan = makeNatsPlan({ seed, strikes, submissions, resendShare: mutant === undefined ? RESEND_SHARE : 0 })
  let underWay = 0
  await using target = countingTarget(async ({ path }) => {
    const call = plan.calls[Number(path.slice(1))]
    underWay++
    await Bun.sleep(call?.answerAfterMs ?? 0)
    underWay--
    return new Response("ok", { status: call?.status ?? 404 })
  })
  using load = new Load(plan.calls, target.url)
  await using world = await NatsWorld.start({ folder, targetHost: target.host, load, mutant })
  const { service, nats } = world

  const shareOf = (count: number) => Math.ceil((submissions * count) / strikes)
  const problems: Array<string> = []
  const killed: Array<Part> = []
  const struck: Array<string> = []
  for (const [index, { kind, parts, catchesUp, afterMs, awayMs }] of plan.strikes.entries()) {
    load.release(shareOf(index + 1))
    if (catchesUp) {
      await waitWhile(
        () => load.receipts.length < shareOf(index) || backlogOf(service.dbPath) > BACKLOG_MAX,
        CATCH_UP_MS_MAX
      )
    }
    await Bun.sleep(afterMs)
    // So that most of them meet something to lose.
    if (catchesUp) await waitWhile(() => underWay < UNDER_WAY_MIN, UNDER_WAY_MS_MAX)
    problems.push(...(await world.kill(parts)).map((problem) => `strike ${index + 1}, ${kind}: ${problem}`))
    await Bun.sleep(awayMs)
    await world.restart(parts)
    killed.push(...parts)
    struck.push(kind)
    if (problems.length >= PROBLEMS_MAX) break
    if ((index + 1) % PROGRESS_EVERY === 0) {
      onProgress(`strike ${index + 1}: ${load.receipts.length} submitted, ${target.count} requests, ${seconds()} s`)
    }
  }
  const lastKillAt = Date.now()
  load.release(submissions)
  await load.done
  onProgress(`all submitted, ${seconds()} s`)
  await untilAllEnded(service, DUE_IN_MS_MAX + TIMEOUT_MS + END_MS_MAX)
  // Fails only if there still is something at the deadline, which the checks will find.
  await until("nothing waits", () => backlogOf(service.dbPath) === 0, END_MS_MAX).catch(() => {})
  problems.push(...(await world.stopExecutors()))
  const observed = await observe(service)
  const seen = await readEvents(nats.url)

  const { receipts } = load
  const attempts = stored<StoredAttempt>(service.dbPath, "SELECT * FROM execution_attempts")
  const events = stored<StoredEvent>(service.dbPath, EVENTS_SQL)
  const arrivals = target.byKey
  const lostMax = killed.filter((part) => part.startsWith("executor")).length * EXECUTOR_IN_FLIGHT_MAX
  const unknown = attempts.filter((attempt) => attempt.is_remote === 1 && isUnknown(attempt))
  const sent = unknown.filter(({ service_call_id }) => arrivals.has(service_call_id)).length
  return {
    violations: [
      ...problems,
      ...load.problems,
      ...violationsOf({ ...observed, receipts, arrivals, lastKillAt, isDrained: false }),
      ...violationsElsewhere({ attempts, arrivals, events, seen, lostMax })
    ],
    strikes: countsOf(struck),
    submitted: receipts.length,
    acknowledged: receipts.filter(({ serviceCallId }) => serviceCallId !== null).length,
    attempts: attempts.length,
    requests: target.count,
    calls: countsOf(observed.details.map(({ status }) => status)),
    unknown: { sent, unsent: unknown.length - sent, late: unknown.filter(({ evidence }) => evidence !== null).length },
    resent: attempts.filter(({ number }) => number === 2).length,
    events: { stored: events.length, seen: seen.length },
    seconds: seconds()
  }
}

const waitWhile = async (holds: () => boolean, msMax: number): Promise<void> => {
  for (let waitedMs = 0; holds() && waitedMs < msMax; waitedMs += POLL_MS) await Bun.sleep(POLL_MS)
}

const EVENT_TYPES = Object.values(catalogue).flatMap(({ kind, type }) => (kind === "event" ? [`'${type}'`] : []))
const EVENTS_SQL = `SELECT seq, message_id, type, service_call_id FROM outbox WHERE type IN (${EVENT_TYPES.join(", ")})
  ORDER BY seq`
