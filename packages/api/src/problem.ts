import { CorrelationId } from "@event-service-agent/schemas/ids"
import { Schema } from "effect"
import { HttpApiError } from "effect/http-api"
import { Scope } from "./access/scope.ts"

/** One wrong field of a request. */
export const FieldError = Schema.Struct({
  in: Schema.Literals(["body", "query", "path", "header"]),
  pointer: Schema.String.annotate({
    description: "JSON pointer to the field, as a URI fragment",
    examples: ["#/requestSpec/url"]
  }),
  detail: Schema.String.annotate({ description: "What is wrong with it and what is expected" })
}).annotate({ identifier: "FieldError" })
export type FieldError = typeof FieldError.Type

export const UNKNOWN_FIELD = "This is unknown here: leave it out"

const urn = <const Name extends string>(name: Name) => `urn:event-service-agent:problem:${name}` as const

/** The edge writes it into every problem on its way out. */
const correlationId = Schema.optionalKey(CorrelationId)

export class MalformedJson extends HttpApiError.Problem<MalformedJson>()(
  "MalformedJson",
  { type: urn("malformed-json"), status: 400, title: "The body is not JSON" },
  { correlationId }
) {}

export class AmbiguousRequest extends HttpApiError.Problem<AmbiguousRequest>()(
  "AmbiguousRequest",
  { type: urn("ambiguous-request"), status: 400, title: "The request can be read in more than one way" },
  { correlationId }
) {}

export class Unauthenticated extends HttpApiError.Problem<Unauthenticated>()(
  "Unauthenticated",
  { type: urn("unauthenticated"), status: 401, title: "This needs a key" },
  { correlationId }
) {}

export class MissingScope extends HttpApiError.Problem<MissingScope>()(
  "MissingScope",
  { type: urn("missing-scope"), status: 403, title: "The key does not allow this" },
  { correlationId, scope: Scope }
) {}

export class ForeignOrigin extends HttpApiError.Problem<ForeignOrigin>()(
  "ForeignOrigin",
  { type: urn("foreign-origin"), status: 403, title: "Pages of other sites may not write here" },
  { correlationId }
) {}

export class RouteNotFound extends HttpApiError.Problem<RouteNotFound>()(
  "RouteNotFound",
  { type: urn("route-not-found"), status: 404, title: "There is nothing at this address" },
  { correlationId }
) {}

export class ServiceCallNotFound extends HttpApiError.Problem<ServiceCallNotFound>()(
  "ServiceCallNotFound",
  { type: urn("service-call-not-found"), status: 404, title: "This tenant has no such service call" },
  { correlationId }
) {}

export class DeadLetterNotFound extends HttpApiError.Problem<DeadLetterNotFound>()(
  "DeadLetterNotFound",
  { type: urn("dead-letter-not-found"), status: 404, title: "There is no such dead letter" },
  { correlationId }
) {}

export class KeyNotFound extends HttpApiError.Problem<KeyNotFound>()(
  "KeyNotFound",
  { type: urn("key-not-found"), status: 404, title: "There is no such key" },
  { correlationId }
) {}

export class MethodNotAllowed extends HttpApiError.Problem<MethodNotAllowed>()(
  "MethodNotAllowed",
  { type: urn("method-not-allowed"), status: 405, title: "This address does not know the method" },
  { correlationId }
) {}

export class IdempotencyKeyReused extends HttpApiError.Problem<IdempotencyKeyReused>()(
  "IdempotencyKeyReused",
  { type: urn("idempotency-key-reused"), status: 409, title: "The idempotency key was used with other content" },
  { correlationId, serviceCallId: Schema.String }
) {}

export class NotCancellable extends HttpApiError.Problem<NotCancellable>()(
  "NotCancellable",
  { type: urn("not-cancellable"), status: 409, title: "The call can no longer be cancelled" },
  { correlationId, serviceCallStatus: Schema.String }
) {}

export class RequestNotKept extends HttpApiError.Problem<RequestNotKept>()(
  "RequestNotKept",
  { type: urn("request-not-kept"), status: 409, title: "The request of this call is not there any more" },
  { correlationId }
) {}

export class NoBroker extends HttpApiError.Problem<NoBroker>()(
  "NoBroker",
  { type: urn("no-broker"), status: 409, title: "This agent publishes to no broker" },
  { correlationId }
) {}

export class TooManyKeys extends HttpApiError.Problem<TooManyKeys>()(
  "TooManyKeys",
  { type: urn("too-many-keys"), status: 409, title: "There are as many live keys as there may be" },
  { correlationId }
) {}

export class ContentTooLarge extends HttpApiError.Problem<ContentTooLarge>()(
  "ContentTooLarge",
  { type: urn("content-too-large"), status: 413, title: "The body is too large" },
  { correlationId }
) {}

export class NotJson extends HttpApiError.Problem<NotJson>()(
  "NotJson",
  { type: urn("not-json"), status: 415, title: "The body has to be application/json" },
  { correlationId }
) {}

export class UnexpectedHost extends HttpApiError.Problem<UnexpectedHost>()(
  "UnexpectedHost",
  { type: urn("unexpected-host"), status: 421, title: "This server does not answer for that host" },
  { correlationId }
) {}

export class InvalidRequest extends HttpApiError.Problem<InvalidRequest>()(
  "InvalidRequest",
  { type: urn("invalid-request"), status: 422, title: "The request is not valid" },
  { correlationId, errors: Schema.Array(FieldError) }
) {}

export class RateLimited extends HttpApiError.Problem<RateLimited>()(
  "RateLimited",
  { type: urn("rate-limited"), status: 429, title: "The tenant submits faster than it may" },
  { correlationId, limit: Schema.Literal("RATE_LIMIT_SUBMISSIONS"), quota: Schema.Int, retryAfterSeconds: Schema.Int }
) {}

export class QuotaExceeded extends HttpApiError.Problem<QuotaExceeded>()(
  "QuotaExceeded",
  { type: urn("quota-exceeded"), status: 429, title: "The tenant has as much here as it may" },
  {
    correlationId,
    limit: Schema.Literals(["QUOTA_PENDING_CALLS", "QUOTA_STORED_BYTES"]),
    quota: Schema.Int,
    used: Schema.Int.annotate({ description: "Before this call" }),
    retryAfterSeconds: Schema.Int
  }
) {}

export class SearchRefused extends HttpApiError.Problem<SearchRefused>()(
  "SearchRefused",
  { type: urn("search-refused"), status: 429, title: "This is too much to search for at the moment" },
  { correlationId }
) {}

export class InternalError extends HttpApiError.Problem<InternalError>()(
  "InternalError",
  { type: urn("internal-error"), status: 500, title: "The agent made a mistake" },
  { correlationId }
) {}

export class StorageUnavailable extends HttpApiError.Problem<StorageUnavailable>()(
  "StorageUnavailable",
  { type: urn("storage-unavailable"), status: 503, title: "The storage does not work at the moment" },
  { correlationId }
) {}

export class Overloaded extends HttpApiError.Problem<Overloaded>()(
  "Overloaded",
  { type: urn("overloaded"), status: 503, title: "The agent has too much to do at the moment" },
  { correlationId }
) {}

export class Draining extends HttpApiError.Problem<Draining>()(
  "Draining",
  { type: urn("draining"), status: 503, title: "The agent is stopping" },
  { correlationId }
) {}

export const draining = () =>
  new Draining({ detail: "It finishes what is under way and takes nothing new: try again once it runs" })

export class NotReady extends HttpApiError.Problem<NotReady>()(
  "NotReady",
  { type: urn("not-ready"), status: 503, title: "The agent is not ready" },
  { correlationId, checks: Schema.Record(Schema.String, Schema.Literals(["ok", "draining", "failed"])) }
) {}

/** What any route may answer. */
export const anywhere = [
  AmbiguousRequest,
  InvalidRequest,
  MethodNotAllowed,
  UnexpectedHost,
  InternalError,
  StorageUnavailable,
  Overloaded
] as const
/** What any route that changes something may answer besides. */
export const whenWriting = [ForeignOrigin, Draining] as const
/** What any route that reads a body may answer besides. */
export const withBody = [MalformedJson, ContentTooLarge, NotJson] as const
/** What any route that asks for a key may answer besides. */
export const withKey = [Unauthenticated, MissingScope] as const
/** What any route of a tenant may answer besides: of the calls of others nobody learns anything. */
export const ofTenant = [...withKey, ServiceCallNotFound] as const
/** What any route that submits a call may answer besides. */
export const whenSubmitting = [RateLimited, QuotaExceeded] as const
