import { Tracing } from "@event-service-agent/platform/tracing"
import { Clock, Data, Effect, Layer, Metric, Option, Redacted, Schedule, Semaphore, Tracer } from "effect"
import { FetchHttpClient, HttpClient, HttpClientResponse, HttpMiddleware } from "effect/http"
import { OtlpExporter, OtlpSerialization, OtlpTracer } from "effect/observability"
import type { Settings } from "./config.ts"
import { EXPORTS_IN_FLIGHT_MAX, type TracingSettings } from "./tracing-settings.ts"

const EXPORT_INTERVAL_MS = 1_000
const EXPORT_TIMEOUT_MS = 10_000
/** Spans of one export. Memory holds those in flight and one that fills. */
const EXPORT_SPANS_MAX = 1_000
/** The last export, when the service stops. */
const STOP_TIMEOUT_MS = 1_000
const RETRIES = 2
const RETRY_MS = 1_000
const MAY_PASS = new Set([429, 502, 503, 504])
const RESULTS = ["sent", "failed", "dropped"] as const
/** Between two log lines about exports that failed. */
const TROUBLE_LOG_MS = 60_000

const exports = Metric.counter("esa_trace_exports_total", {
  description: "Exports of spans, by result: sent, failed, or dropped because earlier ones were still under way",
  incremental: true
})

/**
 * Exports spans by OTLP as the settings say. Nothing waits for that: spans that the collector does not take in time are
 * dropped.
 */
export const layerTracing = ({ tracing }: Pick<Settings, "tracing">): Layer.Layer<never> =>
  tracing === null ? Layer.empty : layerExport(tracing)

const layerExport = (settings: TracingSettings) =>
  Layer.mergeAll(
    Layer.succeed(Tracing, true),
    // Its own span has the whole address in it. Ours is made in the api.
    Layer.succeed(HttpMiddleware.TracerDisabledWhen, () => true),
    Layer.effect(Tracer.Tracer, makeTracer(settings)).pipe(
      Layer.provide([
        OtlpExporter.layerFlusher,
        settings.protocol === "http/json" ? OtlpSerialization.layerJson : OtlpSerialization.layerProtobuf,
        layerClient
      ])
    )
  )

const makeTracer = Effect.fnUntraced(function* ({ url, headers, serviceName, ratio }: TracingSettings) {
  const tracer = yield* OtlpTracer.make({
    url,
    headers: Redacted.value(headers),
    resource: { serviceName },
    exportInterval: EXPORT_INTERVAL_MS,
    maxBatchSize: EXPORT_SPANS_MAX,
    shutdownTimeout: STOP_TIMEOUT_MS
  })
  return Tracer.make({
    span: (options) => {
      const isFirst = Option.isNone(options.parent)
      return tracer.span({ ...options, sampled: options.sampled && (!isFirst || Math.random() < ratio) })
    }
  })
})

/** What the collector did not take. */
class NotTaken extends Data.TaggedError("NotTaken")<{ readonly reason: string; readonly mayPass: boolean }> {}

/**
 * Has few exports under way, none for long, and answers all that became of one itself: the exporter behind it would keep
 * spans for as long as the collector is slow, or asks it to wait.
 */
const layerClient = Layer.effect(
  HttpClient.HttpClient,
  Effect.gen(function* () {
    // So that the first of a kind is seen as one: a series that begins at 1 has not grown.
    yield* Effect.forEach(RESULTS, (result) => count(result, 0), { discard: true })
    const client = yield* HttpClient.HttpClient
    const places = yield* Semaphore.make(EXPORTS_IN_FLIGHT_MAX)
    let loggedAt = Number.NEGATIVE_INFINITY
    const drop = Effect.fnUntraced(function* (result: "failed" | "dropped", reason: string) {
      yield* count(result)
      const now = yield* Clock.currentTimeMillis
      if (now - loggedAt < TROUBLE_LOG_MS) return
      loggedAt = now
      yield* Effect.logWarning(`spans are not exported but dropped, calls go on: ${reason}`)
    })
    return HttpClient.make((request) => {
      const taken = HttpClientResponse.fromWeb(request, new Response(null, { status: 200 }))
      const sent = client.execute(request).pipe(
        Effect.mapError(() => new NotTaken({ reason: "the collector cannot be reached", mayPass: true })),
        // The connection is free once the body is read.
        Effect.tap((response) => Effect.ignore(response.arrayBuffer)),
        Effect.filterOrFail(
          ({ status }) => status >= 200 && status <= 299,
          ({ status }) => new NotTaken({ reason: `the collector answered ${status}`, mayPass: MAY_PASS.has(status) })
        ),
        Effect.retry({ times: RETRIES, schedule: Schedule.spaced(RETRY_MS), while: ({ mayPass }) => mayPass }),
        Effect.timeoutOrElse({
          duration: EXPORT_TIMEOUT_MS,
          orElse: () => new NotTaken({ reason: `no answer in ${EXPORT_TIMEOUT_MS} ms`, mayPass: false })
        }),
        Effect.andThen(count("sent")),
        Effect.catch(({ reason }) => drop("failed", reason))
      )
      return Effect.as(
        Effect.flatMap(places.withPermitsIfAvailable(1)(sent), (exported) =>
          Option.isSome(exported) ? Effect.void : drop("dropped", "the collector is slower than the spans come")
        ),
        taken
      )
    })
  })
).pipe(Layer.provide(FetchHttpClient.layer))

const count = (result: (typeof RESULTS)[number], times = 1) =>
  Metric.update(Metric.withAttributes(exports, { result }), times)
