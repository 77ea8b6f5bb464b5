import type { ServiceCallReader } from "@event-service-agent/orchestration/ports/service-call-reader"
import type { EgressPolicy } from "@event-service-agent/platform/egress-policy"
import type { EventBusPort } from "@event-service-agent/platform/event-bus"
import type { Outbox } from "@event-service-agent/platform/outbox"
import type { RequestVault } from "@event-service-agent/platform/request-vault"
import type { Transaction } from "@event-service-agent/platform/transaction"
import { Effect, Layer } from "effect"
import { SecureRandom } from "effect/crypto"
import { HttpRouter, HttpServer, HttpServerRespondable, HttpServerResponse } from "effect/http"
import { HttpApiBuilder, HttpApiMiddleware, HttpApiScalar } from "effect/http-api"
import { Api, RequestSchemaErrors } from "./contract.ts"
import { DOCS_PATH, type EdgeOptions, layerEdge, OPENAPI_PATH } from "./edge.ts"
import { layerAdmin, layerHealth, layerServiceCalls } from "./handlers.ts"
import type { SubmissionStore } from "./ports/submission-store.ts"
import { ServiceCallNotFound } from "./problem.ts"
import { fieldErrors, invalid } from "./read-json.ts"

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

type Needs =
  | SubmissionStore
  | ServiceCallReader
  | EventBusPort
  | Outbox
  | Transaction
  | RequestVault
  | EgressPolicy
  | SecureRandom.SecureRandom

/** The routes of the module, for the server to put on its router. */
export const layer = (options: EdgeOptions) =>
  Layer.mergeAll(
    HttpApiBuilder.layer(Api, { openapiPath: OPENAPI_PATH }).pipe(
      Layer.provide([layerServiceCalls, layerAdmin, layerHealth]),
      Layer.provide(layerRequestSchemaErrors),
      Layer.provide(HttpServer.layerServices)
    ),
    // Its default fonts would come from another server.
    HttpApiScalar.layer(Api, { path: DOCS_PATH, scalar: { withDefaultFonts: false } }),
    // Until there is a page, people who open the service in a browser get its reference.
    HttpRouter.add("GET", "/", HttpServerResponse.redirect(DOCS_PATH))
  ).pipe(
    Layer.provideMerge(layerEdge(options)),
    HttpRouter.provideRequest(Layer.effectContext(Effect.context<Needs>())),
    Layer.provide(SecureRandom.layerWebCrypto)
  )
