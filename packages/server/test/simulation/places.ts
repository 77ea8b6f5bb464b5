import type { Story } from "./violations.ts"
import type { World } from "./world.ts"

/** Milliseconds from a fault, or a clock that was set, until all that is due has been found due. */
const RECOVERY_MS = 6_000
/** What finding and releasing a due call may take, in the simulator's way of letting time pass. */
const RELEASE_MS = 300

interface Step {
  readonly seq: number
  readonly at: number
  readonly tenant: string
  readonly change: 1 | -1
}

/** The caps hold, and a due call waits only while there is no place for it. */
export const placesViolations = ({ plan, simulator, lastFaultAt }: World, stories: ReadonlyArray<Story>) => {
  const steps = stories.flatMap(stepsOf).sort((a, b) => a.seq - b.seq)
  const { total, perTenant } = plan.caps
  const violations: Array<string> = []

  const inFlight = new Map<string, number>()
  let all = 0
  /** For each tenant the times at which a place became free or was taken, with whether there is one. */
  const history: Array<{ readonly at: number; readonly all: number; readonly inFlight: ReadonlyMap<string, number> }> =
    []
  for (const { at, tenant, change } of steps) {
    const own = (inFlight.get(tenant) ?? 0) + change
    inFlight.set(tenant, own)
    all += change
    if (all > total || own > perTenant) violations.push(`${all} calls are in flight, ${own} of ${tenant}`)
    history.push({ at, all, inFlight: new Map(inFlight) })
  }

  for (const { call, row, messages } of stories) {
    const running = messages.find(({ type }) => type === "ServiceCallRunning")
    const scheduled = messages.find(({ type }) => type === "ServiceCallScheduled")
    if (running === undefined || scheduled === undefined) continue
    const dueAt = row.due_at - simulator.wallStart
    let freeFrom = Math.max(dueAt, scheduled.committedAt, lastFaultAt + RECOVERY_MS)
    const before = [{ at: 0, all: 0, inFlight: new Map() }, ...history].filter(({ at }) => at < running.committedAt)
    for (const [index, state] of before.entries()) {
      const isFree = state.all < total && (state.inFlight.get(call.key.tenantId) ?? 0) < perTenant
      const end = before[index + 1]?.at ?? running.committedAt
      if (!isFree) freeFrom = Math.max(freeFrom, end)
      else if (end - freeFrom > RELEASE_MS) {
        violations.push(`call ${call.number}: it waited for ${end - freeFrom} ms beside a free place`)
        break
      }
    }
  }
  return violations
}

const stepsOf = ({ call, messages }: Story): ReadonlyArray<Step> =>
  messages.flatMap(({ type, seq, committedAt }): ReadonlyArray<Step> => {
    const step = { seq, at: committedAt, tenant: call.key.tenantId }
    if (type === "ServiceCallRunning") return [{ ...step, change: 1 }]
    return type === "ServiceCallSucceeded" || type === "ServiceCallFailed" ? [{ ...step, change: -1 }] : []
  })
