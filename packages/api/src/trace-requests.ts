import { beginSpan, endSpan, failedAs, Tracing } from "@event-service-agent/platform/tracing"
import { TenantId } from "@event-service-agent/schemas/ids"
import { Effect, Exit, Schema, Tracer } from "effect"
import { FindMyWay, HttpServerRequest, type HttpServerResponse } from "effect/http"
import { HttpApi } from "effect/http-api"
import { Api } from "./contract.ts"

/** Health, metrics, the page and the documents are asked for all the time, and have no part in a call. */
const TRACED = "/api/"
const SERVER_ERROR = 500

type App<E, R> = Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>

/** What makes each request that an app serves a span. */
type TraceRequests = <E, R>(app: App<E, R>) => App<E, R | HttpServerRequest.HttpServerRequest>

/**
 * Makes what makes each request of the API a span, which goes on from the client's traceparent. Nothing of what the
 * client wrote is in it but the tenant: no path, no query, no header, no body. For the edge to put behind the door, so
 * that strangers cannot fill the collector; while spans are not exported, it changes nothing and costs nothing.
 */
export const makeTraceRequests = Effect.map(Tracing, (isTracing): TraceRequests => {
  if (!isTracing) return (app) => app
  const describe = makeDescribe()
  return (app) =>
    Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) =>
      request.url.startsWith(TRACED) ? inSpan(app, request, describe(request)) : app
    )
})

interface Description {
  readonly name: string
  readonly attributes: Readonly<Record<string, string>>
}

const inSpan = Effect.fnUntraced(function* <E, R>(
  app: App<E, R>,
  { headers }: HttpServerRequest.HttpServerRequest,
  { name, attributes }: Description
) {
  const span = yield* beginSpan(name, { kind: "server", traceparent: headers["traceparent"], attributes })
  return yield* app.pipe(
    Effect.provideService(Tracer.ParentSpan, span),
    Effect.onExit((exit) => {
      if (!Exit.isSuccess(exit)) return endSpan(span, failedAs("Interrupted"))
      const { status } = exit.value
      span.attribute("http.response.status_code", status)
      if (status < SERVER_ERROR) return endSpan(span)
      span.attribute("error.type", String(status))
      return endSpan(span, failedAs(String(status)))
    })
  )
})

const isTenantId = Schema.is(TenantId)

/** Names a request by the contract, never by its own words: who asks for many paths makes no more names. */
const makeDescribe = () => {
  const routes = FindMyWay.make<string>()
  const methods = new Set(["HEAD"])
  HttpApi.reflect(Api, {
    onGroup: () => {},
    onEndpoint: ({ endpoint }) => {
      const path = `/${endpoint.path.slice(1)}` as const
      routes.on(endpoint.method, path, path)
      methods.add(endpoint.method)
    }
  })
  return ({ method, url }: HttpServerRequest.HttpServerRequest): Description => {
    const known = methods.has(method) ? method : "_OTHER"
    const found = methods.has(method) ? routes.find(method === "HEAD" ? "GET" : method, url) : undefined
    if (found === undefined) return { name: known, attributes: { "http.request.method": known } }
    const { tenantId } = found.params
    return {
      name: `${method} ${found.handler}`,
      attributes: {
        "http.request.method": known,
        "http.route": found.handler,
        ...(isTenantId(tenantId) ? { "esa.tenant_id": tenantId } : {})
      }
    }
  }
}
