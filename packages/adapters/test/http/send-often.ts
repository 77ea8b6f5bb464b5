import { readdirSync } from "node:fs"
import { HttpClientPort } from "@event-service-agent/platform/http-client-port"
import { Effect } from "effect"
import { client } from "./targets.ts"

const SIDE_BY_SIDE = 10
const SAMPLE_INTERVAL_MS = 10
const CLOSING_WAITS_MAX = 300

/** What sending has cost the process. */
export interface Cost {
  /** Most that was held more than before, in mebibytes. */
  readonly peakMiB: number
  /** Most that was held more than before once all was done. */
  readonly leftMiB: number
  /** Open files more than before; `null` where the system does not tell. */
  readonly leftFiles: number | null
}

const residentMiB = () => process.memoryUsage.rss() / 1_048_576

const openFiles = () => {
  try {
    return readdirSync("/proc/self/fd").length
  } catch {
    return null
  }
}

/**
 * A program for tests of cost: sends GET to the URL, first some times to warm up and then as often as said, ten at a
 * time, and prints the `Cost` of the latter. Arguments: URL, times, timeout in milliseconds.
 */
const program = Effect.gen(function* () {
  const http = yield* HttpClientPort
  const [url = "", times, timeoutMs] = process.argv.slice(2)
  const sendOften = (count: number) =>
    Effect.forEach(
      Array(count).fill(url),
      () => Effect.ignore(http.send({ method: "GET", url }, { timeoutMs: Number(timeoutMs) })),
      { concurrency: SIDE_BY_SIDE, discard: true }
    )
  yield* sendOften(SIDE_BY_SIDE)
  Bun.gc(true)
  const [before, filesBefore] = [residentMiB(), openFiles()]
  let peak = before
  const sampling = setInterval(() => {
    peak = Math.max(peak, residentMiB())
  }, SAMPLE_INTERVAL_MS)
  yield* sendOften(Number(times))
  clearInterval(sampling)
  Bun.gc(true)
  const left = () => (filesBefore === null ? null : (openFiles() ?? 0) - filesBefore)
  // A connection that is being closed takes a moment.
  for (let waits = 0; (left() ?? 0) > 0 && waits < CLOSING_WAITS_MAX; waits++) yield* Effect.sleep(SAMPLE_INTERVAL_MS)
  const cost: Cost = { peakMiB: peak - before, leftMiB: residentMiB() - before, leftFiles: left() }
  console.log(JSON.stringify(cost))
})
await Effect.runPromise(Effect.provide(program, client()))
process.exit()
