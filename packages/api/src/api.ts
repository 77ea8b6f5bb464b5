import { PREFIX_DEFAULT } from "@event-service-agent/schemas/nats"
import { Effect, Layer } from "effect"
import { HttpRouter, HttpServer, HttpServerRespondable, HttpServerResponse } from "effect/http"
import { HttpApiBuilder, HttpApiMiddleware, HttpApiScalar } from "effect/http-api"
import { PrometheusMetrics } from "effect/observability"
import { Authenticator } from "./access/authenticator.ts"
import { NO_LIMITS, type TenantLimits } from "./access/limits.ts"
import { asyncApi } from "./asyncapi.ts"
import { Api, RequestSchemaErrors } from "./contract.ts"
import { ASYNCAPI_PATH, DOCS_PATH, type EdgeOptions, layerEdge, METRICS_PATH, OPENAPI_PATH } from "./edge.ts"
import { layerServiceCalls } from "./handlers.ts"
import { layerAccess, layerAdmin, layerHealth } from "./operator-handlers.ts"
import { ServiceCallNotFound } from "./problem.ts"
import { fieldErrors, invalid } from "./read-json.ts"
import type { Caps } from "./why.ts"

const PLACES = { Params: "path", Query: "query", Headers: "header", Payload: "body" } as const

const layerRequestSchemaErrors = HttpApiMiddleware.layerSchemaErrorTransform(RequestSchemaErrors, (error) => {
  // An answer that its own schema refuses is a mistake of ours.
  if (error.kind === "Body" || error.kind === "ResponseHeaders") return Effect.die(error.cause)
  const errors = fieldErrors(PLACES[error.kind], error.cause)
  // What is no id is not the id of any call.
  return errors.every(({ pointer }) => pointer === "#/serviceCallId")
    ? HttpServerRespondable.toResponse(new ServiceCallNotFound())
    : Effect.fail(invalid(errors))
})

export interface ApiOptions extends EdgeOptions {
  /** What the names of streams and subjects on NATS begin with. */
  readonly eventPrefix?: string
  /** Calls that may be in flight, for `why`. */
  readonly caps?: Caps
  /** Of each tenant; none when absent. */
  readonly limits?: TenantLimits
}

const NO_CAPS: Caps = { total: Number.MAX_SAFE_INTEGER, perTenant: Number.MAX_SAFE_INTEGER }

/** The routes of the module, for the server to put on its router. */
export const layer = ({ eventPrefix = PREFIX_DEFAULT, caps = NO_CAPS, limits = NO_LIMITS, ...edge }: ApiOptions) =>
  Layer.mergeAll(
    HttpApiBuilder.layer(Api, { openapiPath: OPENAPI_PATH }).pipe(
      Layer.provide([layerServiceCalls(caps, limits), layerAdmin, layerAccess, layerHealth]),
      Layer.provide(layerRequestSchemaErrors),
      Layer.provide(HttpServer.layerServices)
    ),
    // Its default fonts would come from another server.
    HttpApiScalar.layer(Api, { path: DOCS_PATH, scalar: { withDefaultFonts: false } }),
    PrometheusMetrics.layerHttp({ path: METRICS_PATH }),
    HttpRouter.add("GET", ASYNCAPI_PATH, HttpServerResponse.jsonUnsafe(asyncApi(eventPrefix)))
  ).pipe(Layer.provideMerge(layerEdge(edge)), Layer.provide(Authenticator.layer))
