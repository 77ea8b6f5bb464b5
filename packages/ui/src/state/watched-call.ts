import { type Signal, signal } from "@preact/signals"
import type { Problem } from "../lib/problem.ts"
import { throttled } from "../lib/throttle.ts"
import { type Detail, isTerminal } from "../lib/wire.ts"
import { ask, callOf } from "./api.ts"
import { summaryOf, updateRow } from "./calls.ts"
import { isLive, listen } from "./live.ts"

const READ_PAUSE_MS = 150
/** How often to ask where no events come. */
const POLL_MS = 2_000

export interface WatchedCall {
  readonly id: string
  readonly detail: Signal<Detail | undefined>
  readonly problem: Signal<Problem | undefined>
  readonly refresh: () => void
  readonly stop: () => void
}

/**
 * Reads a call and keeps what is known of it up to date until it is stopped.
 *
 * @param known what is known already
 */
export const watchCall = (tenant: string, id: string, known?: Detail): WatchedCall => {
  const detail = signal(known)
  const problem = signal<Problem | undefined>(undefined)
  let isStopped = false
  const refresh = throttled(READ_PAUSE_MS, async () => {
    if (isStopped) return
    const answer = await ask<Detail>(callOf(tenant, id))
    if (isStopped) return
    if (answer.ok) {
      detail.value = answer.value
      updateRow(summaryOf(answer.value))
    }
    problem.value = answer.ok ? undefined : answer.problem
  })
  const unlisten = listen({
    onEvents: (events) => {
      if (events.some(({ serviceCallId }) => serviceCallId === id)) refresh()
    },
    onGap: refresh
  })
  const poll = setInterval(() => {
    const isEnded = detail.peek() !== undefined && isTerminal(detail.peek()?.status ?? "Submitted")
    if (!isLive.peek() && !isEnded && !document.hidden) refresh()
  }, POLL_MS)
  if (known === undefined) refresh()
  return {
    id,
    detail,
    problem,
    refresh,
    stop: () => {
      isStopped = true
      unlisten()
      clearInterval(poll)
    }
  }
}
