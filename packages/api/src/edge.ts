import { isIP } from "node:net"
import { Stopping } from "@event-service-agent/platform/stopping"
import { type CorrelationId, newCorrelationId } from "@event-service-agent/schemas/ids"
import { redactText } from "@event-service-agent/schemas/redaction"
import { Cause, Clock, Context, Effect, LogLevel, Metric, References } from "effect"
import {
  FindMyWay,
  HttpBody,
  HttpRouter,
  HttpServerError,
  HttpServerRequest,
  HttpServerRespondable,
  HttpServerResponse,
  ProblemDetails
} from "effect/http"
import { HttpApi } from "effect/http-api"
import { makeAdmission, type PlainRoute } from "./access/admission.ts"
import { ANYONE, Authenticator, Caller, NOBODY } from "./access/authenticator.ts"
import { Api } from "./contract.ts"
import { type Gate, makeGate, TRY_AGAIN, Visit } from "./gate.ts"
import {
  AmbiguousRequest,
  draining,
  ForeignOrigin,
  InternalError,
  MethodNotAllowed,
  Overloaded,
  RouteNotFound,
  UnexpectedHost
} from "./problem.ts"
import { makeTraceRequests } from "./trace-requests.ts"

/** The id that joins what follows from the request. */
export class RequestCorrelation extends Context.Service<RequestCorrelation, CorrelationId>()(
  "@event-service-agent/api/RequestCorrelation"
) {}

export interface EdgeOptions {
  /** Host names, beside those of loopback, under which people reach the server. In lower case, without port. */
  readonly hosts: ReadonlyArray<string>
  /**
   * Whether any address in the Host header will do, since the server listens on all of its machine: only a name can be
   * made to lead here from a page elsewhere.
   */
  readonly acceptsAddresses?: boolean
  /** Whether requests need a key. */
  readonly isKeyed?: boolean
  /** For tests; one with the usual limits when absent. */
  readonly gate?: Gate
}

const LOOPBACK_HOSTS = ["localhost", "127.0.0.1", "[::1]"]
const HOST = /^(\[[0-9a-f:.]+\]|[^:,[\]]+)(?::\d{1,5})?$/
const HOST_SHOWN_MAX = 100
const LENGTH = /^\d{1,15}$/
const READING = new Set(["GET", "HEAD", "OPTIONS"])
/** What browsers say of requests that no other site caused. */
const OWN_SITES = new Set(["same-origin", "none"])
/** No other site may show, run or frame what comes from here. */
const HARDENING = {
  "cross-origin-resource-policy": "same-origin",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY"
}
// Routes beside the contract
export const OPENAPI_PATH = "/openapi.json"
export const ASYNCAPI_PATH = "/asyncapi.json"
export const METRICS_PATH = "/metrics"
export const DOCS_PATH = "/docs"
/** What the page needs beside the contract; the adapter that bundles it serves them. */
const PAGE_PATHS = ["/", "/page.json", "/assets/:name"] as const
const PLAIN_ROUTES: ReadonlyArray<PlainRoute> = [
  ...[...PAGE_PATHS, OPENAPI_PATH, ASYNCAPI_PATH, DOCS_PATH].map((path): PlainRoute => [`/${path.slice(1)}`, "open"]),
  [METRICS_PATH, "operators"]
]
/** Answered whatever there is to do: who asks may restart what does not answer, or wake somebody. */
const URGENT_PATHS = new Set(["/health/live", "/health/ready", METRICS_PATH])
const RETRY_AFTER_SECONDS = 1
const CLOSING = { connection: "close" }
/** Between two log lines about refused requests. */
const OVERLOAD_LOG_NANOS = 10_000_000_000n

/** How long requests that are worked on may take before the modules stop. */
const DRAIN_MS = 1_000

/** Answers that say that something is wrong. */
const FAILED_FROM = 400
const OVERLOADED = 503
const failures = Metric.counter("esa_http_failures_total", {
  description: "Requests that were refused or failed, by the status of their answer",
  incremental: true
})
const failed = (status: number) => Metric.withAttributes(failures, { status: String(status) })

/**
 * What every request passes first and every answer last: it guards the door, and makes a problem of every failure. When
 * its scope ends, it lets nobody write any more, and waits for what is worked on. Who reads is answered to the end.
 */
export const layerEdge = (options: EdgeOptions) =>
  HttpRouter.middleware<{ provides: RequestCorrelation | Visit | Caller }>()(
    Effect.gen(function* () {
      const isDebugging = yield* LogLevel.isEnabled("Debug")
      const authenticator = yield* Authenticator
      const hosts = new Set([...LOOPBACK_HOSTS, ...options.hosts])
      const isKnownHost = (name: string) =>
        hosts.has(name) || (options.acceptsAddresses === true && isIP(name.replaceAll(/[[\]]/g, "")) !== 0)
      const methodsAt = makeMethodTable()
      const gate = options.gate ?? makeGate()
      const { begun } = yield* Stopping
      // So that the first one is seen as such.
      yield* Metric.update(failed(OVERLOADED), 0)
      yield* Effect.addFinalizer(() => Effect.andThen(begun.open, Effect.timeoutOption(gate.idle, DRAIN_MS)))
      const refuseOverload = makeRefuseOverload()
      const traced = yield* makeTraceRequests
      const routeless = (request: HttpServerRequest.HttpServerRequest) => refuseRouteless(methodsAt(request.url))
      const admit = options.isKeyed === true ? makeAdmission(authenticator, PLAIN_ROUTES, routeless) : undefined

      return (app) => {
        const explained = traced(Effect.catchCause(app, (cause) => explain(cause, methodsAt)))
        // Plain code where effects would do: each of them costs every request.
        return Effect.contextWith((outer: Context.Context<HttpServerRequest.HttpServerRequest>) => {
          const request = Context.get(outer, HttpServerRequest.HttpServerRequest)
          const clock = Context.get(outer, Clock.Clock)
          const startedAt = clock.currentTimeMillisUnsafe()
          const correlationId = newCorrelationId()
          const annotations = { ...Context.get(outer, References.CurrentLogAnnotations), correlationId }
          const context = outer.pipe(
            Context.add(References.CurrentLogAnnotations, annotations),
            Context.add(RequestCorrelation, correlationId),
            Context.add(Caller, admit === undefined ? ANYONE : NOBODY)
          )
          const refusal = refuse(request, isKnownHost) ?? (begun.isOpen() ? refuseWriting(request) : undefined)
          const visit = refusal === undefined ? gate.enter(URGENT_PATHS.has(pathOf(request))) : undefined
          const finish = (response: HttpServerResponse.HttpServerResponse) => {
            const { status } = response
            const answer = stamp(
              visit?.gaveWay() === true || begun.isOpen() ? closing(response) : response,
              correlationId
            )
            const counted = status < FAILED_FROM ? undefined : Metric.update(failed(status), 1)
            if (!isDebugging) return counted === undefined ? Effect.succeed(answer) : Effect.as(counted, answer)
            const tookMs = clock.currentTimeMillisUnsafe() - startedAt
            const facts = { method: request.method, path: redactText(pathOf(request)), status, tookMs }
            const logged = Effect.annotateLogs(Effect.logDebug("request"), facts)
            return Effect.as(Effect.andThen(counted ?? Effect.void, logged), answer)
          }
          if (visit === undefined) {
            const refused = refusal === undefined ? refuseOverload : HttpServerRespondable.toResponse(refusal)
            return refused.pipe(
              Effect.flatMap(finish),
              Effect.updateContext((_: typeof outer) => context)
            )
          }
          const served =
            admit === undefined
              ? explained
              : Effect.catchCause(admit(request, explained), (cause) => explain(cause, methodsAt))
          // The router runs this uninterruptibly, so that whoever has entered also leaves.
          return Effect.onExitPrimitive(Effect.flatMap(served, finish), () => void visit.leave()).pipe(
            Effect.updateContext((_: typeof outer) => Context.add(context, Visit, visit))
          )
        })
      }
    }),
    { global: true }
  )

/** Says in the log that there is too much to do, though not for each request that is one too many. */
const makeRefuseOverload = () => {
  let loggedAt: bigint | undefined
  return Effect.gen(function* () {
    const now = yield* Clock.monotonicTimeNanos
    if (loggedAt === undefined || now - loggedAt > OVERLOAD_LOG_NANOS) {
      loggedAt = now
      yield* Effect.logWarning("overloaded: requests are refused")
    }
    return yield* HttpServerRespondable.toResponse(new Overloaded({ detail: TRY_AGAIN }))
  })
}

const refuse = (request: HttpServerRequest.HttpServerRequest, isKnownHost: (name: string) => boolean) => {
  const { host = "", origin, referer, "sec-fetch-site": site } = request.headers
  const { "transfer-encoding": encoding = "chunked", "content-length": length = "0" } = request.headers
  // Bun takes lists of the same length, and lists with empty places. A proxy before it may read them otherwise.
  if (encoding.toLowerCase() !== "chunked" || !LENGTH.test(length)) {
    return new AmbiguousRequest({ detail: "Send one Content-Length, or Transfer-Encoding: chunked" })
  }
  const name = HOST.exec(host.toLowerCase())?.[1]
  if (name === undefined || !isKnownHost(name)) {
    const detail =
      name === undefined
        ? "The Host header holds no name of a host"
        : `The Host header says ${name.slice(0, HOST_SHOWN_MAX)}, which is none of this server's names: the operator can add it to ALLOWED_HOSTS`
    return new UnexpectedHost({ detail })
  }
  if (READING.has(request.method)) return undefined
  if (site !== undefined && !OWN_SITES.has(site)) {
    return new ForeignOrigin({ detail: "The Sec-Fetch-Site header says that another site sent this" })
  }
  // Not all browsers send an Origin with every form.
  const sender = origin ?? (referer === undefined ? undefined : originOf(referer))
  if (sender === undefined || sender === `http://${host}` || sender === `https://${host}`) return undefined
  const header = origin === undefined ? "Referer" : "Origin"
  return new ForeignOrigin({ detail: `The ${header} header names another site than the Host header` })
}

const refuseWriting = ({ method }: HttpServerRequest.HttpServerRequest) =>
  READING.has(method) ? undefined : draining()

const originOf = (url: string): string => (URL.canParse(url) ? new URL(url).origin : "null")

/** What the failure is to the client. Only what nobody foresaw is logged. */
const explain = Effect.fnUntraced(function* <E>(
  cause: Cause.Cause<E>,
  methodsAt: (url: string) => ReadonlyArray<string>
) {
  if (Cause.hasInterruptsOnly(cause)) return yield* Effect.failCause(cause)
  const failure = Cause.squash(cause)
  if (!HttpServerError.isHttpServerError(failure) || failure.reason._tag !== "RouteNotFound") {
    yield* Effect.logError("a request failed unexpectedly", cause)
    const detail = "Nobody foresaw this. The log has more under the correlation id"
    return yield* HttpServerRespondable.toResponse(new InternalError({ detail }))
  }
  return yield* refuseRouteless(methodsAt((yield* HttpServerRequest.HttpServerRequest).url))
})

/** @param methods those that the address knows */
const refuseRouteless = Effect.fnUntraced(function* (methods: ReadonlyArray<string>) {
  if (methods.length === 0) {
    return yield* HttpServerRespondable.toResponse(new RouteNotFound({ detail: "The addresses are listed at /docs" }))
  }
  const allow = methods.join(", ")
  const response = yield* HttpServerRespondable.toResponse(new MethodNotAllowed({ detail: `Use ${allow}` }))
  return HttpServerResponse.setHeader(response, "allow", allow)
})

/** The router tells an unknown method and an unknown path alike; this tells them apart. */
const makeMethodTable = () => {
  const table = FindMyWay.make<true>()
  const methods = new Set<string>()
  HttpApi.reflect(Api, {
    onGroup: () => {},
    onEndpoint: ({ endpoint }) => {
      table.on(endpoint.method, `/${endpoint.path.slice(1)}`, true)
      methods.add(endpoint.method)
    }
  })
  for (const [path] of PLAIN_ROUTES) table.on("GET", path, true)
  return (url: string): ReadonlyArray<string> =>
    [...methods]
      .filter((method) => table.find(method, url) !== undefined)
      .flatMap((method) => (method === "GET" ? ["GET", "HEAD"] : [method]))
}

/** Writes the correlation id into the answer, and into the problem if it is one. */
const stamp = (response: HttpServerResponse.HttpServerResponse, correlationId: CorrelationId) => {
  const { body, status } = response
  const isProblem = body._tag === "Uint8Array" && body.contentType === ProblemDetails.contentType
  const answer = isProblem
    ? HttpServerResponse.setBody(
        response,
        HttpBody.jsonUnsafe({ ...decodeProblem(body.body), correlationId }, ProblemDetails.contentType)
      )
    : response
  return HttpServerResponse.setHeaders(answer, {
    ...HARDENING,
    "x-correlation-id": correlationId,
    ...(status === 503 ? { "retry-after": String(RETRY_AFTER_SECONDS) } : {}),
    // The rest of the body is not read.
    ...(status === 413 ? CLOSING : {})
  })
}

const closing = HttpServerResponse.setHeaders(CLOSING)

const decodeProblem = (bytes: Uint8Array): object => JSON.parse(new TextDecoder().decode(bytes))

const pathOf = ({ url }: HttpServerRequest.HttpServerRequest): string => {
  const query = url.indexOf("?")
  return query === -1 ? url : url.slice(0, query)
}
