import type { Call, Contender, Running, Submitted } from "../contender.ts"
import { type CountingTarget, startTarget } from "../counting-target.ts"
import { temporaryFolder, until } from "../processes.ts"
import { percentile } from "../statistics.ts"
import type { Measured, Subject } from "../workload.ts"

/** How long calls may take beyond what is planned: slow machines finish, and hanging ones are noticed. */
const CALLS_MS_MAX = 180_000
/** Part of the calls must be submitted again before the first is due when the machine has become this much slower. */
const LEAD_FACTOR = 2
const LEAD_MS_MIN = 2_000
const LEAD_MS_MAX = 90_000

export interface Scene {
  readonly running: Running
  readonly target: CountingTarget
}

/** Runs a contender with a target of its own; in a new folder, if it is not given one. */
export const withScene = async <A>(
  contender: Contender,
  use: (scene: Scene) => Promise<A>,
  folder?: string
): Promise<A> => {
  const target = await startTarget()
  const ownFolder = folder === undefined ? temporaryFolder() : undefined
  try {
    const place = { folder: folder ?? ownFolder?.path ?? "", targetUrl: target.url }
    const running = await contender.start(place)
    try {
      return await use({ running, target })
    } finally {
      await running.stop()
    }
  } finally {
    await target.end()
    ownFolder?.remove()
  }
}

/** A subject that needs nothing from round to round. */
export const fresh = (contender: Contender, measure: (scene: Scene) => Promise<Measured>): Subject => ({
  name: contender.name,
  measure: () => withScene(contender, measure),
  cleanUp: () => {}
})

/** Calls with ids of their own, due as `dueAt` says for each index. */
export const callsFrom = (firstId: number, count: number, dueAt: (index: number) => number | null): Array<Call> =>
  Array.from({ length: count }, (_, index) => ({ id: firstId + index, dueAt: dueAt(index) }))

/** Submits calls that are due at once, and waits until each has arrived and got its outcome. */
export const performNow = async (
  { running, target }: Scene,
  firstId: number,
  count: number,
  clients: number
): Promise<{ readonly submitted: Submitted; readonly tookMs: number }> => {
  const before = await running.finished()
  const startedAt = performance.now()
  const submitted = await running.submit(
    callsFrom(firstId, count, () => null),
    clients
  )
  await target.untilArrived(firstId + count, CALLS_MS_MAX)
  await until(`${count} outcomes are recorded`, async () => (await running.finished()) - before >= count, CALLS_MS_MAX)
  return { submitted, tookMs: performance.now() - startedAt }
}

/** Fills caches and lets the compilers work, and tells how fast submissions go. Takes the first ids. */
export const warmUp = async (scene: Scene, count: number, clients: number): Promise<{ readonly perSecond: number }> => {
  const { submitted } = await performNow(scene, 0, count, clients)
  return { perSecond: (count * 1_000) / submitted.tookMs }
}

/**
 * Submits calls for later and measures how late each arrives.
 *
 * @param offsetMs when the call of an index is due, from the first on
 * @param perSecond how fast submissions went before: the first call is due only when all should be submitted
 */
export const performDue = async (
  { running, target }: Scene,
  plan: { readonly firstId: number; readonly count: number; readonly offsetMs: (index: number) => number },
  clients: number,
  perSecond: number
): Promise<{ readonly p50: number; readonly p99: number; readonly max: number; readonly problems: Array<string> }> => {
  const leadMs = Math.min(Math.max((plan.count / perSecond) * 1_000 * LEAD_FACTOR, LEAD_MS_MIN), LEAD_MS_MAX)
  const firstDue = Math.ceil(Date.now() + leadMs)
  const calls = callsFrom(plan.firstId, plan.count, (index) => firstDue + plan.offsetMs(index))
  await running.submit(calls, clients)
  if (Date.now() > firstDue) throw new Error(`${plan.count} calls took more than ${Math.round(leadMs)} ms to submit`)
  await target.untilArrived(plan.firstId + plan.count, leadMs + CALLS_MS_MAX)
  const { latenessMs, early, repeated } = await target.arrivals(calls)
  return {
    p50: percentile(latenessMs, 0.5),
    p99: percentile(latenessMs, 0.99),
    max: percentile(latenessMs, 1),
    problems: [
      ...(early === 0
        ? []
        : [`${early} of ${plan.count} calls arrived before they were due, by up to ${-(latenessMs[0] ?? 0)} ms`]),
      ...(repeated === 0 ? [] : [`${repeated} requests were sent twice`])
    ]
  }
}
