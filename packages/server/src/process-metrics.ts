import { monitorEventLoopDelay } from "node:perf_hooks"
import { Effect, Layer, Metric } from "effect"
import { standardOutput } from "./log-output.ts"

const RESOLUTION_MS = 20
/** Each figure is of the interval before it. */
const INTERVAL_MS = 5_000
const NANOS = 1_000_000_000

const delay = (what: string) =>
  Metric.gauge(`esa_event_loop_delay_${what}_seconds`, {
    description: `How late the one thread came to what was to be done, in the last 5 seconds: ${what}`
  })
const [p50, p99, max] = [delay("p50"), delay("p99"), delay("max")]

const droppedLines = Metric.counter("esa_log_lines_dropped_total", {
  description: "Lines of the log that nobody read in time, and that are lost",
  incremental: true
})

/** The name that all programs give it. Counters begin at zero then. */
const startTime = Metric.gauge("process_start_time_seconds", {
  description: "When the process was started, in seconds since 1970"
})

/** When it was started, and what every request, timer and send waits for beside its own work. */
export const layer = Layer.effectDiscard(
  Effect.gen(function* () {
    yield* Metric.update(startTime, performance.timeOrigin / 1_000)
    const histogram = yield* Effect.acquireRelease(
      Effect.sync(() => {
        const started = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
        started.enable()
        return started
      }),
      (started) => Effect.sync(() => started.disable())
    )
    let told = 0
    yield* Metric.update(droppedLines, 0)
    const note = Effect.gen(function* () {
      const { dropped } = standardOutput()
      yield* Metric.update(droppedLines, dropped - told)
      told = dropped
      yield* Metric.update(p50, histogram.percentile(50) / NANOS)
      yield* Metric.update(p99, histogram.percentile(99) / NANOS)
      yield* Metric.update(max, histogram.max / NANOS)
      histogram.reset()
    })
    yield* Effect.sleep(INTERVAL_MS).pipe(Effect.andThen(note), Effect.forever, Effect.forkScoped)
  })
)
