import { computed, effect, signal } from "@preact/signals"
import { listQuery, NO_FILTER } from "../lib/address.ts"
import { formatSpan } from "../lib/times.ts"
import type { CallPage } from "../lib/wire.ts"
import { ask, callsOf } from "./api.ts"
import { now } from "./clock.ts"
import { apiKey } from "./key.ts"
import { downSince } from "./live.ts"
import { tenant } from "./route.ts"

const CHECK_MS = 15_000
/** Without events for longer than this, people should know. */
const DOWN_MS_MAX = 5_000
/** A call that waits for this long after it was due is overdue. */
const OVERDUE_MS = 10_000
const OVERDUE_COUNT_MAX = 100

interface Ready {
  readonly status: "ok" | "degraded"
  readonly detail?: string
}

/** What the service says of itself; empty while it is well. */
const serviceWarning = signal("")
const isSilent = signal(false)
const overdue = signal<{ readonly count: number; readonly before: string }>({ count: 0, before: "" })

export interface Warning {
  readonly text: string
  /** Calls due before this instant should have been made; empty if the warning is of something else. */
  readonly overdueBefore: string
}

/** What is wrong, if something is; the worst of it. */
export const warning = computed((): Warning | undefined => {
  if (serviceWarning.value !== "") return { text: serviceWarning.value, overdueBefore: "" }
  const downMs = downSince.value === null ? 0 : now.value - downSince.value
  if (downMs > DOWN_MS_MAX) {
    const what = isSilent.value ? "The service does not answer" : "No live updates"
    const text = `${what} for ${formatSpan(downMs)}: what you see may be old. The page keeps trying.`
    return { text, overdueBefore: "" }
  }
  const { count, before } = overdue.value
  if (count === 0) return undefined
  const many = count >= OVERDUE_COUNT_MAX ? `${count} or more` : String(count)
  return { text: `${many} ${count === 1 ? "call is" : "calls are"} overdue.`, overdueBefore: before }
})

const check = async (): Promise<void> => {
  const of = tenant.peek()
  const before = new Date(Date.now() - OVERDUE_MS).toISOString()
  const query = listQuery({ ...NO_FILTER, tab: "Scheduled", to: before })
  query.set("limit", String(OVERDUE_COUNT_MAX))
  const [ready, late] = await Promise.all([ask<Ready>("/health/ready"), ask<CallPage>(`${callsOf(of)}?${query}`)])
  if (of !== tenant.peek()) return
  isSilent.value = !ready.ok && ready.problem.status === 0
  if (!ready.ok) serviceWarning.value = isSilent.value ? "" : `${ready.problem.title}. ${ready.problem.detail}`
  else serviceWarning.value = ready.value.status === "ok" ? "" : (ready.value.detail ?? "The service is degraded.")
  // A call that has just come may have been due for minutes.
  const waiting = late.ok ? late.value.items.filter((call) => Date.parse(call.acceptedAt) < Date.parse(before)) : []
  overdue.value = { count: waiting.length, before }
}

export const startHealth = (): void => {
  effect(() => {
    tenant.value
    apiKey.value
    // Tells a service that is down from a connection that is.
    downSince.value
    void check()
  })
  setInterval(() => {
    if (!document.hidden) void check()
  }, CHECK_MS)
}
