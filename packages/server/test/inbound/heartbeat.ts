import type { Service } from "../process.ts"

const BEAT_MS = 100
const ANSWER_MS_MAX = 5_000

/** Asks all the time whether the service lives, and keeps what was not answered, or not in time. */
export const heartbeat = (service: Service): Disposable & { readonly misses: ReadonlyArray<string> } => {
  const misses: Array<string> = []
  let isOver = false
  const beat = async () => {
    const startedAt = performance.now()
    const status = await service.fetch("/health/live").then(
      (response) => response.status,
      (error: unknown) => String(error)
    )
    const tookMs = performance.now() - startedAt
    if (!isOver && (status !== 200 || tookMs > ANSWER_MS_MAX)) misses.push(`${status} after ${tookMs} ms`)
  }
  const timer = setInterval(beat, BEAT_MS)
  return {
    misses,
    [Symbol.dispose]: () => {
      isOver = true
      clearInterval(timer)
    }
  }
}
