import { effect, signal } from "@preact/signals"
import type { Tab } from "../lib/address.ts"
import { throttled } from "../lib/throttle.ts"
import { STARRED, type Stats } from "../lib/wire.ts"
import { ask, callsOf } from "./api.ts"
import { apiKey } from "./key.ts"
import { listen } from "./live.ts"
import { tenant } from "./route.ts"

const PAUSE_MS = 1_000

/** How many calls the tenant has; `undefined` until that is known. */
export const stats = signal<Stats | undefined>(undefined)

export const refreshStats = throttled(PAUSE_MS, async () => {
  const of = tenant.peek()
  const answer = await ask<Stats>(`${callsOf(of)}/stats`)
  if (answer.ok && of === tenant.peek()) stats.value = answer.value
})

/** How many calls are under the tab; `undefined` until that is known. */
export const countOf = (tab: Tab, known: Stats | undefined): number | undefined => {
  if (known === undefined) return undefined
  switch (tab) {
    case "All":
      return known.total
    case "Scheduled":
      return known.statuses.Submitted + known.statuses.Scheduled
    case "Starred":
      return known.tags.find(({ tag }) => tag === STARRED)?.calls ?? 0
    default:
      return known.statuses[tab]
  }
}

export const startStats = (): void => {
  effect(() => {
    tenant.value
    apiKey.value
    stats.value = undefined
    refreshStats()
  })
  listen({ onEvents: refreshStats, onGap: refreshStats })
}
