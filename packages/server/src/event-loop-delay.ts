import { monitorEventLoopDelay } from "node:perf_hooks"
import { Effect, Layer, Metric } from "effect"

const RESOLUTION_MS = 20
/** Each figure is of the interval before it. */
const INTERVAL_MS = 5_000
const NANOS = 1_000_000_000

const delay = Metric.gauge("esa_event_loop_delay_seconds", {
  description: "How late the one thread came to what was to be done, in the last 5 seconds"
})

/** Measures what every request, timer and send waits for beside its own work. */
export const layer = Layer.effectDiscard(
  Effect.gen(function* () {
    const histogram = yield* Effect.acquireRelease(
      Effect.sync(() => {
        const started = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
        started.enable()
        return started
      }),
      (started) => Effect.sync(() => started.disable())
    )
    const note = Effect.gen(function* () {
      const set = (quantile: string, nanos: number) =>
        Metric.update(Metric.withAttributes(delay, { quantile }), nanos / NANOS)
      yield* set("0.5", histogram.percentile(50))
      yield* set("0.99", histogram.percentile(99))
      yield* set("1", histogram.max)
      histogram.reset()
    })
    yield* Effect.sleep(INTERVAL_MS).pipe(Effect.andThen(note), Effect.forever, Effect.forkScoped)
  })
)
