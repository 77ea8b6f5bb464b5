import { Effect, Stream } from "effect"
import { FindMyWay, HttpBody, type HttpServerRequest, HttpServerRespondable, HttpServerResponse } from "effect/http"
import { HttpApi } from "effect/http-api"
import { ACCESS_BY_ROUTE, Api } from "../contract.ts"
import { MissingScope, ServiceCallNotFound, Unauthenticated } from "../problem.ts"
import { orUnavailable } from "../storage-trouble.ts"
import { type Authenticator, Caller } from "./authenticator.ts"
import { type Access, ALL_TENANTS } from "./scope.ts"

type Request = HttpServerRequest.HttpServerRequest
type Response = HttpServerResponse.HttpServerResponse

/** A route beside the contract: a path that is served to GET. */
export type PlainRoute = readonly [path: `/${string}`, access: Access]

/**
 * Makes what lets requests through to the routes that their keys open. What no list of routes names is refused, even
 * to those with a key, so that a route that was forgotten is not open by mistake.
 *
 * @param routeless answers what is for no known route
 */
export const makeAdmission = (
  authenticator: Authenticator["Service"],
  plainRoutes: ReadonlyArray<PlainRoute>,
  routeless: (request: Request) => Effect.Effect<Response>
) => {
  const table = makeAccessTable(plainRoutes)

  return <E, R>(request: Request, app: Effect.Effect<Response, E, R>): Effect.Effect<Response, E, R> => {
    // The router serves HEAD by the routes of GET.
    const route = table.find(request.method === "HEAD" ? "GET" : request.method, request.url)
    if (route?.handler === "open") return app
    return Effect.matchEffect(orUnavailable(authenticator.authenticate(request.headers["authorization"])), {
      onFailure: HttpServerRespondable.toResponse,
      onSuccess: (caller) => {
        if (caller === undefined) return unauthenticated(request.headers["authorization"] !== undefined)
        if (route === undefined) return routeless(request)
        const refusal = refuse(caller, route.handler, route.params["tenantId"])
        if (refusal !== undefined) return HttpServerRespondable.toResponse(refusal)
        const served = Effect.provideService(app, Caller, caller)
        const { keyId } = caller
        return keyId === null ? served : Effect.map(served, endingWith(authenticator.ended(keyId)))
      }
    })
  }
}

/** Why the caller may not go there, if so. Another tenant's place is to nobody's more than one that does not exist. */
export const refuse = (
  { tenantId, scopes }: Caller["Service"],
  access: Access,
  tenantOfPath: string | undefined
): MissingScope | ServiceCallNotFound | undefined => {
  const isForAll = tenantId === ALL_TENANTS
  if (tenantOfPath !== undefined && !isForAll && tenantId !== tenantOfPath) return new ServiceCallNotFound()
  if (access === "open" || access === "key") return undefined
  if (access === "operators") {
    if (isForAll && (scopes.includes("read") || scopes.includes("admin"))) return undefined
    const detail = "This needs a key with the scope admin, or with the scope read for all tenants (*)"
    return new MissingScope({ detail, scope: "admin" })
  }
  if (scopes.includes(access)) return undefined
  return new MissingScope({ detail: `This needs a key with the scope ${access}`, scope: access })
}

const unauthenticated = (hasSent: boolean): Effect.Effect<Response> => {
  const detail = hasSent
    ? "The Authorization header holds no key that is live: Bearer esa_<id>_<secret>. Keys expire, and are revoked"
    : "Send the header Authorization: Bearer esa_<id>_<secret>. The command line takes the key as --key or ESA_API_KEY; an operator makes keys, the first one is in ADMIN_KEY_FILE"
  return Effect.map(HttpServerRespondable.toResponse(new Unauthenticated({ detail })), (response) =>
    HttpServerResponse.setHeader(response, "www-authenticate", "Bearer")
  )
}

/** A stream of events would go on for ever; anything else ends by itself. */
const endingWith =
  (ended: Effect.Effect<void>) =>
  (response: Response): Response => {
    const { body } = response
    if (body._tag !== "Stream" || !body.contentType.startsWith("text/event-stream")) return response
    return HttpServerResponse.setBody(
      response,
      HttpBody.stream(Stream.interruptWhen(body.stream, ended), body.contentType, body.contentLength)
    )
  }

const makeAccessTable = (plainRoutes: ReadonlyArray<PlainRoute>) => {
  const table = FindMyWay.make<Access>()
  HttpApi.reflect(Api, {
    onGroup: () => {},
    onEndpoint: ({ group, endpoint }) => {
      const name = `${group.identifier}.${endpoint.identifier}`
      const access = ACCESS_BY_ROUTE.get(name)
      if (access === undefined) throw new Error(`nobody has said which key ${name} asks for`)
      table.on(endpoint.method, `/${endpoint.path.slice(1)}`, access)
    }
  })
  for (const [path, access] of plainRoutes) table.on("GET", path, access)
  return table
}
