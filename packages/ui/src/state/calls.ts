import { computed, effect, signal } from "@preact/signals"
import { listQuery } from "../lib/address.ts"
import { applyEvents, countUnseen } from "../lib/live-rows.ts"
import type { Problem } from "../lib/problem.ts"
import { throttled } from "../lib/throttle.ts"
import type { CallPage, Detail, Live, Summary } from "../lib/wire.ts"
import { ask, callsOf } from "./api.ts"
import { apiKey } from "./key.ts"
import { listen } from "./live.ts"
import { address } from "./route.ts"

export const PAGE_SIZE = 20
const LOOK_PAUSE_MS = 1_000

export interface Calls {
  /** Which list this is: its address without what does not belong to it. */
  readonly of: string
  readonly items: ReadonlyArray<Summary>
  readonly next: string | null
}

/** The list in view; `undefined` until one has come. */
export const calls = signal<Calls | undefined>(undefined)
export const isLoading = signal(false)
export const listProblem = signal<Problem | undefined>(undefined)
/** How many calls are on the newest page and not in view. */
export const unseen = signal(0)

/** What the list is asked for: changes only when other calls are wanted. */
const wanted = computed(() => {
  const { tenant, view, cursor, ...filter } = address.value
  const query = listQuery(filter)
  query.set("limit", String(PAGE_SIZE))
  if (cursor !== "") query.set("cursor", cursor)
  return view === "status" ? `${callsOf(tenant)}?${query}` : ""
})

/** Where the same calls come as a file. */
export const exportPath = computed(() => {
  const query = listQuery(address.value).toString()
  return `${callsOf(address.value.tenant)}/export${query === "" ? "" : `?${query}`}`
})

let asked: AbortController | undefined

/** Reads the list again, in the place of what is in view. */
export const reload = async (): Promise<void> => {
  const path = wanted.peek()
  if (path === "") return
  asked?.abort()
  const asking = new AbortController()
  asked = asking
  isLoading.value = true
  const answer = await ask<CallPage>(path, { signal: asking.signal })
  if (asked !== asking) return
  isLoading.value = false
  unseen.value = 0
  if (answer.ok) calls.value = { of: path, ...answer.value }
  listProblem.value = answer.ok ? undefined : answer.problem
}

/** Looks for what is new, without touching what is in view. Only the first page gets new calls. */
const look = throttled(LOOK_PAUSE_MS, async () => {
  const path = wanted.peek()
  const known = calls.peek()
  if (path === "" || known?.of !== path || address.peek().cursor !== "") return
  const answer = await ask<CallPage>(path)
  if (!answer.ok || calls.peek()?.of !== path || wanted.peek() !== path) return
  const rows = calls.peek()?.items ?? []
  // Where nothing is in view, nothing can move.
  if (rows.length === 0) calls.value = { of: path, ...answer.value }
  else unseen.value = countUnseen(rows, answer.value.items, known.next !== null)
})

const onEvents = (events: ReadonlyArray<Live>) => {
  const known = calls.peek()
  if (known === undefined) return
  const items = applyEvents(known.items, events)
  if (items !== known.items) calls.value = { ...known, items }
  if (events.some(isNews)) look()
}

/** Whether a call that is not in view may have come to be one of the list. */
const isNews = ({ serviceCallId, type }: Live): boolean => {
  if (calls.peek()?.items.some((row) => row.serviceCallId === serviceCallId)) return false
  const { tab, tags } = address.peek()
  if (tab === "All" && tags.length === 0) return type === "ServiceCallSubmitted"
  return true
}

/** After a gap, rows are brought up to date at their places; what is gone or new is told, not shown. */
const onGap = async () => {
  const path = wanted.peek()
  const known = calls.peek()
  if (path === "" || known?.of !== path || listProblem.peek() !== undefined) return reload()
  const answer = await ask<CallPage>(path)
  if (!answer.ok || calls.peek()?.of !== path) return
  const fresh = new Map(answer.value.items.map((call) => [call.serviceCallId, call]))
  const items = (calls.peek()?.items ?? []).map((row) => fresh.get(row.serviceCallId) ?? row)
  if (items.length === 0) calls.value = { of: path, ...answer.value }
  else calls.value = { of: path, items, next: known.next }
  if (address.peek().cursor === "") unseen.value = countUnseen(items, answer.value.items, known.next !== null)
}

/** Shows in its row what is known of a call from elsewhere. */
export const updateRow = (call: Pick<Summary, "serviceCallId"> & Partial<Summary>): void => {
  const known = calls.peek()
  if (known === undefined) return
  const items = known.items.map((row) => (row.serviceCallId === call.serviceCallId ? { ...row, ...call } : row))
  calls.value = { ...known, items }
}

/** The part of a detail that is in a row. */
export const summaryOf = ({ status, tags, finishedAt, latenessMs, failure, serviceCallId }: Detail) => ({
  serviceCallId,
  status,
  tags,
  finishedAt,
  latenessMs,
  failure
})

export const startCalls = (): void => {
  let shown = ""
  effect(() => {
    const path = wanted.value
    apiKey.value
    if (path === "") return
    const [list = ""] = path.split("?")
    // Rows of another tenant are not left standing while theirs come.
    if (!shown.startsWith(`${list}?`)) calls.value = undefined
    shown = path
    listProblem.value = undefined
    unseen.value = 0
    void reload()
  })
  listen({ onEvents, onGap: () => void onGap() })
}
