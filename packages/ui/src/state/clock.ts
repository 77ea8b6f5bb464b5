import { signal } from "@preact/signals"

const TICK_MS = 1_000

/** Now, in milliseconds since 1970, to the second: for what is told in relation to it. */
export const now = signal(Date.now())

export const startClock = (): void => {
  setInterval(() => {
    if (!document.hidden) now.value = Date.now()
  }, TICK_MS)
  document.addEventListener("visibilitychange", () => {
    now.value = Date.now()
  })
}
