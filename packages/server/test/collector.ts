/** A span as it was exported. */
export interface ExportedSpan {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly name: string
  /** 1 internal, 2 server, 3 client, 4 producer, 5 consumer. */
  readonly kind: number
  readonly startTimeUnixNano: string
  readonly endTimeUnixNano: string
  readonly attributes: Readonly<Record<string, unknown>>
  readonly links: ReadonlyArray<{ readonly traceId: string; readonly spanId: string }>
  /** 0 unset, 1 ok, 2 error. */
  readonly status: { readonly code: number; readonly message?: string }
}

interface Attribute {
  readonly key: string
  readonly value: Readonly<Record<string, unknown>>
}

interface Exported {
  readonly resourceSpans: ReadonlyArray<{
    readonly resource: { readonly attributes: ReadonlyArray<Attribute> }
    readonly scopeSpans: ReadonlyArray<{
      readonly spans: ReadonlyArray<
        Omit<ExportedSpan, "attributes"> & { readonly attributes: ReadonlyArray<Attribute> }
      >
    }>
  }>
}

export interface Collector extends AsyncDisposable {
  /** What makes a service export to it. */
  readonly env: Readonly<Record<string, string>>
  readonly spans: ReadonlyArray<ExportedSpan>
  /** The bodies as they came, with their paths and headers. */
  readonly exports: ReadonlyArray<{ readonly path: string; readonly headers: Headers; readonly text: string }>
}

/** An OTLP collector on loopback that keeps what it gets, and then answers 200, unless `answer` says otherwise. */
export const collector = (answer: () => Response | Promise<Response> = () => Response.json({})): Collector => {
  const spans: Array<ExportedSpan> = []
  const exports: Array<Collector["exports"][number]> = []
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 0,
    fetch: async (request) => {
      const text = await request.text()
      exports.push({ path: new URL(request.url).pathname, headers: request.headers, text })
      if (request.headers.get("content-type") === "application/json") spans.push(...spansIn(JSON.parse(text)))
      return answer()
    }
  })
  return {
    env: {
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${server.port}`,
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/json"
    },
    spans,
    exports,
    [Symbol.asyncDispose]: () => server.stop(true)
  }
}

const spansIn = ({ resourceSpans }: Exported): ReadonlyArray<ExportedSpan> =>
  resourceSpans
    .flatMap(({ scopeSpans }) => scopeSpans)
    .flatMap((scope) => scope.spans)
    .map((span) => ({
      ...span,
      attributes: Object.fromEntries(span.attributes.map(({ key, value }) => [key, Object.values(value)[0]]))
    }))

/** The span ids that are named as parents and were not exported. */
export const missingParents = (spans: ReadonlyArray<ExportedSpan>): ReadonlyArray<string> => {
  const ids = new Set(spans.map(({ spanId }) => spanId))
  return [...new Set(spans.flatMap(({ parentSpanId }) => parentSpanId ?? []))].filter((id) => !ids.has(id))
}

/** `child < parent` for each span, by name. */
export const lineage = (spans: ReadonlyArray<ExportedSpan>): ReadonlyArray<string> => {
  const names = new Map(spans.map(({ spanId, name }) => [spanId, name]))
  return spans.map(({ name, parentSpanId }) => `${name} < ${names.get(parentSpanId ?? "") ?? parentSpanId}`).sort()
}
