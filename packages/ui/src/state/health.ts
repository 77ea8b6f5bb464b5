import { formatSpan } from "@event-service-agent/schemas/format-span"
import { computed, effect, signal } from "@preact/signals"
import { ask } from "./api.ts"
import { now } from "./clock.ts"
import { apiKey } from "./key.ts"
import { downSince } from "./live.ts"
import { tenant } from "./route.ts"
import { refreshStats, stats } from "./stats.ts"

const CHECK_MS = 15_000
/** Without events for longer than this, people should know. */
const DOWN_MS_MAX = 5_000
/** A call that waits for this long after it was due is overdue, as the service counts. */
const OVERDUE_MS = 10_000
/** It counts no further. */
const OVERDUE_COUNT_MAX = 100

interface Ready {
  readonly status: "ok" | "degraded"
  readonly detail?: string
}

/** What the service says of itself; empty while it is well. */
const serviceWarning = signal("")
const isSilent = signal(false)

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
  const count = stats.value?.overdue ?? 0
  if (count === 0) return undefined
  const many = count >= OVERDUE_COUNT_MAX ? `${count} or more` : String(count)
  return {
    text: `${many} ${count === 1 ? "call is" : "calls are"} overdue.`,
    overdueBefore: new Date(now.value - OVERDUE_MS).toISOString()
  }
})

const check = async (): Promise<void> => {
  const of = tenant.peek()
  // Nothing may have happened for a while that would have refreshed it.
  refreshStats()
  const ready = await ask<Ready>("/health/ready")
  if (of !== tenant.peek()) return
  isSilent.value = !ready.ok && ready.problem.status === 0
  if (!ready.ok) serviceWarning.value = isSilent.value ? "" : `${ready.problem.title}. ${ready.problem.detail}`
  else serviceWarning.value = ready.value.status === "ok" ? "" : (ready.value.detail ?? "The service is degraded.")
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
