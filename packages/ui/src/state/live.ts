import { effect, signal } from "@preact/signals"
import { makeEventParser, type StreamEvent } from "../lib/event-stream.ts"
import type { Live } from "../lib/wire.ts"
import { callsOf } from "./api.ts"
import { apiKey, authorization, needsKey } from "./key.ts"
import { tenant } from "./route.ts"

/** Events that come together are handed on together. */
const GATHER_MS = 100
const RETRY_MS = 1_000
/** Without a key there is no use in trying; with another one it begins anew. */
const KEY_RETRY_MS = 30_000
/** A page that nobody looks at gives its connection back: a browser has six for each host. */
const HIDDEN_MS = 60_000
/** The service says something every 15 s. */
const SILENCE_MS_MAX = 40_000

export interface Listener {
  readonly onEvents: (events: ReadonlyArray<Live>) => void
  /** Something may have been missed: everything has to be read anew. */
  readonly onGap: () => void
}

export const isLive = signal(false)
/** There has been a connection since the page was opened. */
export const wasLive = signal(false)
/** Since when there has been no connection, in milliseconds since 1970; `null` while there is one. */
export const downSince = signal<number | null>(Date.now())

const listeners = new Set<Listener>()
let following: AbortController | undefined
let gathered: Array<Live> = []
let lastId = ""
let heardAt = 0

export const listen = (listener: Listener): (() => void) => {
  listeners.add(listener)
  return () => void listeners.delete(listener)
}

const hand = () => {
  const events = gathered
  gathered = []
  for (const { onEvents } of listeners) onEvents(events)
}

const down = () => {
  isLive.value = false
  downSince.value = downSince.peek() ?? Date.now()
}

/** What comes first on every connection, and after a gap. */
const begin = () => {
  isLive.value = true
  wasLive.value = true
  downSince.value = null
  // What was read before this began may be old already; a connection that comes back goes on where it was, and reading
  // anew costs little.
  for (const { onGap } of listeners) onGap()
}

const take = ({ id, type, data }: StreamEvent) => {
  heardAt = Date.now()
  if (type === "ready" || type === "reset") begin()
  else if (type !== "heartbeat") {
    const event: Live = JSON.parse(data)
    if (gathered.push(event) === 1) setTimeout(hand, GATHER_MS)
  }
  lastId = id
}

/** Reads one connection until it ends. With `fetch`, because an `EventSource` sends no key. */
const read = async (path: string, signal: AbortSignal): Promise<void> => {
  const headers = {
    accept: "text/event-stream",
    ...authorization(),
    ...(lastId === "" ? {} : { "last-event-id": lastId })
  }
  const response = await fetch(path, { headers, signal, cache: "no-store" })
  if (response.status === 401) needsKey.value = true
  if (!response.ok || response.body === null) return
  const parse = makeEventParser(take)
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    if (signal.aborted) return
    parse(next.value)
  }
}

const follow = async (path: string, { signal }: AbortController): Promise<void> => {
  while (!signal.aborted) {
    heardAt = Date.now()
    // Why a connection ends changes nothing: the next one goes on after the last event.
    await read(path, signal).catch(() => {})
    if (signal.aborted) return
    down()
    await new Promise((resolve) => setTimeout(resolve, needsKey.peek() ? KEY_RETRY_MS : RETRY_MS))
  }
}

const close = () => {
  following?.abort()
  following = undefined
}

const open = () => {
  close()
  following = new AbortController()
  void follow(`${callsOf(tenant.peek())}/events`, following)
}

/** Follows what happens to the calls of the chosen tenant, for as long as the page is there. */
export const startLive = (): void => {
  let hiding: ReturnType<typeof setTimeout> | undefined
  effect(() => {
    tenant.value
    apiKey.value
    lastId = ""
    gathered = []
    down()
    open()
  })
  document.addEventListener("visibilitychange", () => {
    clearTimeout(hiding)
    if (document.hidden) hiding = setTimeout(close, HIDDEN_MS)
    else if (following === undefined) open()
  })
  setInterval(() => {
    if (following === undefined || Date.now() - heardAt < SILENCE_MS_MAX) return
    down()
    open()
  }, SILENCE_MS_MAX / 4)
}
