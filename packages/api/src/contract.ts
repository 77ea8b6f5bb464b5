import { ServiceCallId, TenantId } from "@event-service-agent/schemas/ids"
import { TAGS_MAX, Tag } from "@event-service-agent/schemas/tags"
import { Timestamp } from "@event-service-agent/schemas/time"
import { Schema } from "effect"
import { Sse } from "effect/encoding"
import { HttpApi, HttpApiEndpoint, HttpApiGroup, HttpApiMiddleware, HttpApiSchema, OpenApi } from "effect/http-api"
import { type Access, KEY_ID_PATTERN, KEY_TENANT_PATTERN, KeyId, KeyTenant } from "./access/scope.ts"
import { CURSOR_PATTERN, CursorFromString } from "./cursor.ts"
import { completeDocument, type ParameterRules } from "./openapi.ts"
import {
  anywhere,
  DeadLetterNotFound,
  Draining,
  IdempotencyKeyReused,
  KeyNotFound,
  NoBroker,
  NotCancellable,
  NotReady,
  ofTenant,
  RateLimited,
  RequestNotKept,
  SearchRefused,
  TooManyKeys,
  UNKNOWN_FIELD,
  Unauthenticated,
  whenSubmitting,
  whenWriting,
  withBody,
  withKey
} from "./problem.ts"
import {
  CallDetail,
  CallReference,
  CallStats,
  CallSummary,
  CancelBody,
  DeadLetter,
  Key,
  NewKey,
  NewKeyBody,
  RepublishBody,
  ResendBody,
  Status,
  TagsBody,
  Whoami,
  Why
} from "./representations.ts"
import { IDEMPOTENCY_KEY_DOCS, IDEMPOTENCY_KEY_PATTERN, SubmissionBody } from "./submission-body.ts"

/** Of the program, as its documents and its page tell it. */
export const VERSION = "0.1.0"
export const PAGE_DEFAULT = 20
export const PAGE_MAX = 100
/** A whole number from the address. */
const intFromString = (minimum: number, maximum: number) => {
  const message = `Expected a whole number from ${minimum} to ${maximum}`
  return Schema.FiniteFromString.check(Schema.isInt({ message }), Schema.isBetween({ minimum, maximum }, { message }))
}
const limit = Schema.optionalKey(intFromString(1, PAGE_MAX))
/** Refuses every query parameter. */
const noQuery = Schema.Record(Schema.String, Schema.Never.annotate({ message: UNKNOWN_FIELD }))

const tenant = { tenantId: TenantId }
const call = { ...tenant, serviceCallId: ServiceCallId }
const letter = { consumer: DeadLetter.fields.consumer, seq: intFromString(1, Number.MAX_SAFE_INTEGER) }

/** Turns what does not decode in path, query and headers into an `InvalidRequest`. */
export class RequestSchemaErrors extends HttpApiMiddleware.Service<RequestSchemaErrors>()(
  "@event-service-agent/api/RequestSchemaErrors",
  { error: anywhere }
) {}

const calls = "/api/tenants/:tenantId/service-calls"

/** What the list can be narrowed to. */
const filter = {
  status: Schema.optionalKey(Schema.Array(Status).check(Schema.isUnique({ message: "Expected each status once" }))),
  tag: Schema.optionalKey(
    Schema.Array(Tag).check(Schema.isMaxLength(TAGS_MAX, { message: `Expected at most ${TAGS_MAX} tags` }))
  ),
  from: Schema.optionalKey(Timestamp),
  to: Schema.optionalKey(Timestamp),
  q: Schema.optionalKey(Schema.String)
}
const Filter = Schema.Struct(filter)
export type FilterQuery = typeof Filter.Type
const FILTER_DOCS =
  "status may repeat: any of them. tag may repeat: all of them. from (inclusive) and to (exclusive) are about dueAt. q is " +
  "looked for in name and URL."
const keyHeader = {
  "idempotency-key": Schema.optionalKey(Schema.String.annotate({ description: IDEMPOTENCY_KEY_DOCS }))
}
const prefer = {
  prefer: Schema.optionalKey(
    Schema.String.annotate({ description: "wait=N: wait up to N seconds, at most 60, for the outcome (RFC 7240)" })
  )
}
/** 202, or 200 for what was accepted before, or for what has ended while the client waited. */
const accepted = [
  HttpApiSchema.WithHeaders(CallReference.pipe(HttpApiSchema.status(202)), { location: Schema.String }),
  HttpApiSchema.WithHeaders(Schema.Union([CallReference, CallDetail]).pipe(HttpApiSchema.status(200)), {
    location: Schema.String,
    "idempotency-replayed": Schema.optionalKey(Schema.Literal("true")),
    "preference-applied": Schema.optionalKey(Schema.String)
  })
] as const

const ServiceCalls = HttpApiGroup.make("serviceCalls")
  .add(
    HttpApiEndpoint.post("submit", calls, {
      params: tenant,
      query: noQuery,
      headers: { ...keyHeader, ...prefer },
      payload: SubmissionBody,
      success: accepted,
      error: [IdempotencyKeyReused, ...ofTenant, ...whenSubmitting, ...withBody, ...whenWriting]
    })
      .annotateMerge(
        OpenApi.annotations({
          summary: "Submit a call",
          description:
            "202 once the call is stored durably. The same idempotency key and content again: 200, the same id. With " +
            "Prefer: wait, 200 and all about the call when it has ended in time."
        })
      )
      .annotate(HttpApi.ParamsParseOptions, {}),
    HttpApiEndpoint.get("list", calls, {
      params: tenant,
      query: {
        ...filter,
        limit,
        cursor: Schema.optionalKey(CursorFromString)
      },
      success: HttpApiSchema.WithHeaders(
        Schema.Struct({ items: Schema.Array(CallSummary), next: Schema.NullOr(CursorFromString) }),
        { link: Schema.optionalKey(Schema.String) }
      ),
      error: [SearchRefused, ...ofTenant]
    }).annotateMerge(
      OpenApi.annotations({
        summary: "List calls, newest accepted first",
        description: `${FILTER_DOCS} The next page is in the Link header, rel=next.`
      })
    ),
    HttpApiEndpoint.get("stats", `${calls}/stats`, {
      params: tenant,
      query: noQuery,
      success: CallStats,
      error: ofTenant
    }).annotateMerge(OpenApi.annotations({ summary: "How many calls there are, by status and tag" })),
    HttpApiEndpoint.get("events", `${calls}/events`, {
      params: tenant,
      query: noQuery,
      headers: {
        "last-event-id": Schema.optionalKey(Schema.String.annotate({ description: "The id of the last event seen" }))
      },
      success: HttpApiSchema.StreamSse({ events: Sse.EventEncoded }),
      error: [Draining, ...ofTenant]
    }).annotateMerge(
      OpenApi.annotations({
        summary: "What happens to calls, as it happens",
        description:
          "Server-sent events: `ready` first, then one for each domain event, named by its type, its data as LiveEvent. " +
          "Goes on after Last-Event-ID without a gap; `reset` says that this is longer ago than events are kept: read " +
          "everything anew. `heartbeat` comes when there is nothing else."
      })
    ),
    HttpApiEndpoint.get("export", `${calls}/export`, {
      params: tenant,
      query: filter,
      success: HttpApiSchema.StreamNdjson({ schema: CallSummary }),
      error: ofTenant
    }).annotateMerge(
      OpenApi.annotations({ summary: "The list as one JSON document in each line", description: FILTER_DOCS })
    ),
    HttpApiEndpoint.get("detail", `${calls}/:serviceCallId`, {
      params: call,
      query: noQuery,
      success: CallDetail,
      error: ofTenant
    }).annotateMerge(OpenApi.annotations({ summary: "Everything about one call" })),
    HttpApiEndpoint.get("why", `${calls}/:serviceCallId/why`, {
      params: call,
      query: noQuery,
      success: Why,
      error: ofTenant
    }).annotateMerge(
      OpenApi.annotations({ summary: "Why a call waits: the gate, the numbers, the next wake-up; and why it was late" })
    ),
    HttpApiEndpoint.post("cancel", `${calls}/:serviceCallId/cancel`, {
      params: call,
      query: noQuery,
      payload: CancelBody,
      success: [CallDetail, CallReference.pipe(HttpApiSchema.status(202))],
      error: [NotCancellable, ...ofTenant, ...withBody, ...whenWriting]
    }).annotateMerge(
      OpenApi.annotations({
        summary: "Cancel a call that has not started",
        description: "Waits up to 2 seconds for the decision; 202 when there is none yet."
      })
    ),
    HttpApiEndpoint.post("resend", `${calls}/:serviceCallId/resend`, {
      params: call,
      query: noQuery,
      headers: { ...keyHeader, ...prefer },
      payload: ResendBody,
      success: accepted,
      error: [RequestNotKept, IdempotencyKeyReused, ...ofTenant, ...whenSubmitting, ...withBody, ...whenWriting]
    }).annotateMerge(
      OpenApi.annotations({
        summary: "Repeat a call",
        description:
          "A new call with the same request, linked to this one. The request has to be there still: requestKept."
      })
    ),
    HttpApiEndpoint.put("setTags", `${calls}/:serviceCallId/tags`, {
      params: call,
      query: noQuery,
      payload: TagsBody,
      success: [CallDetail, CallReference.pipe(HttpApiSchema.status(202))],
      error: [RateLimited, ...ofTenant, ...withBody, ...whenWriting]
    }).annotateMerge(
      OpenApi.annotations({
        summary: "Replace the tags of a call",
        description:
          "Waits up to 2 seconds for the decision; 202 when there is none yet. Counts as a submission to the rate limit. " +
          "The tags that the call has already, in whatever order, change nothing."
      })
    )
  )
  .annotateMerge(OpenApi.annotations({ title: "Service calls" }))

const Admin = HttpApiGroup.make("admin")
  .add(
    HttpApiEndpoint.get("deadLetters", "/api/admin/dead-letters", {
      query: { limit },
      success: Schema.Struct({ items: Schema.Array(DeadLetter) }),
      error: withKey
    }).annotateMerge(OpenApi.annotations({ summary: "Messages that a module could not handle, oldest first" })),
    HttpApiEndpoint.post("replay", "/api/admin/dead-letters/:consumer/:seq/replay", {
      params: letter,
      query: noQuery,
      success: HttpApiSchema.NoContent,
      error: [DeadLetterNotFound, ...withKey, ...whenWriting]
    }).annotateMerge(OpenApi.annotations({ summary: "Try a message again" })),
    HttpApiEndpoint.delete("discard", "/api/admin/dead-letters/:consumer/:seq", {
      params: letter,
      query: noQuery,
      success: HttpApiSchema.NoContent,
      error: [DeadLetterNotFound, ...withKey, ...whenWriting]
    }).annotateMerge(OpenApi.annotations({ summary: "Give a message up; later ones of its call go on" })),
    HttpApiEndpoint.post("republish", "/api/admin/republish", {
      query: noQuery,
      payload: RepublishBody,
      success: Schema.Struct({ events: Schema.Int }),
      error: [NoBroker, ...withKey, ...withBody, ...whenWriting]
    }).annotateMerge(
      OpenApi.annotations({
        summary: "Publish events to NATS once more",
        description:
          "For listeners that have lost them. Each has the Esa-Message-Id it had, under a fresh Nats-Msg-Id, and the header " +
          "Esa-Republished. Answers how many; they go out in the background. Reaches as far back as RETENTION_EVENTS."
      })
    )
  )
  .annotateMerge(OpenApi.annotations({ title: "Administration" }))

const AccessGroup = HttpApiGroup.make("access")
  .add(
    HttpApiEndpoint.get("whoami", "/api/whoami", {
      query: noQuery,
      success: Whoami,
      error: Unauthenticated
    }).annotateMerge(OpenApi.annotations({ summary: "What the key lets its holder do" })),
    HttpApiEndpoint.get("keys", "/api/admin/keys", {
      query: { tenant: Schema.optionalKey(KeyTenant) },
      success: Schema.Struct({ items: Schema.Array(Key) }),
      error: withKey
    }).annotateMerge(
      OpenApi.annotations({ summary: "Keys, newest first: of one tenant (* is a tenant here), or of all" })
    ),
    HttpApiEndpoint.post("createKey", "/api/admin/keys", {
      query: noQuery,
      payload: NewKeyBody,
      success: NewKey.pipe(HttpApiSchema.status(201)),
      error: [TooManyKeys, ...withKey, ...withBody, ...whenWriting]
    }).annotateMerge(
      OpenApi.annotations({
        summary: "Make a key",
        description: "Of one tenant and label at most 2 are live, of a tenant at most 20."
      })
    ),
    HttpApiEndpoint.delete("revokeKey", "/api/admin/keys/:keyId", {
      params: { keyId: KeyId },
      query: noQuery,
      success: HttpApiSchema.NoContent,
      error: [KeyNotFound, ...withKey, ...whenWriting]
    }).annotateMerge(OpenApi.annotations({ summary: "Revoke a key, at once and for ever" }))
  )
  .annotateMerge(OpenApi.annotations({ title: "Access" }))

const Health = HttpApiGroup.make("health")
  .add(
    HttpApiEndpoint.get("live", "/health/live", {
      query: noQuery,
      success: Schema.Struct({ status: Schema.Literal("ok") })
    }).annotateMerge(OpenApi.annotations({ summary: "The process answers" })),
    HttpApiEndpoint.get("ready", "/health/ready", {
      query: noQuery,
      success: Schema.Struct({
        status: Schema.Literals(["ok", "degraded"]).annotate({
          description: "degraded: calls are accepted and kept, and go on later; detail says why"
        }),
        checks: Schema.Struct({
          storage: Schema.Literal("ok"),
          bus: Schema.Literals(["ok", "degraded"]),
          executors: Schema.optionalKey(Schema.Literals(["ok", "degraded"])).annotate({
            description: "Where only executors elsewhere send"
          })
        }),
        detail: Schema.optionalKey(Schema.String)
      }),
      error: NotReady
    }).annotateMerge(OpenApi.annotations({ summary: "The agent can do its work" }))
  )
  .annotateMerge(OpenApi.annotations({ title: "Health" }))

type AccessOf<Groups extends HttpApiGroup.Constraint> = {
  readonly [Id in HttpApiGroup.Identifier<Groups>]: Readonly<
    Record<HttpApiEndpoint.Identifier<HttpApiGroup.EndpointsWithIdentifier<Groups, Id>>, Access>
  >
}

/** What each route asks for. Without all of them this does not compile. */
const ACCESS: AccessOf<typeof ServiceCalls | typeof Admin | typeof AccessGroup | typeof Health> = {
  serviceCalls: {
    submit: "submit",
    list: "read",
    stats: "read",
    events: "read",
    export: "read",
    detail: "read",
    why: "read",
    cancel: "submit",
    resend: "submit",
    setTags: "submit"
  },
  admin: { deadLetters: "admin", replay: "admin", discard: "admin", republish: "admin" },
  access: { whoami: "key", keys: "admin", createKey: "admin", revokeKey: "admin" },
  health: { live: "open", ready: "open" }
}
/** By `group.endpoint`, as in the operation ids of the OpenAPI document. */
export const ACCESS_BY_ROUTE: ReadonlyMap<string, Access> = new Map(
  Object.entries(ACCESS).flatMap(([group, routes]) =>
    Object.entries(routes).map(([route, access]) => [`${group}.${route}`, access] as const)
  )
)

const PARAMETERS: ParameterRules = {
  keyId: { pattern: KEY_ID_PATTERN },
  tenant: { type: "string", pattern: KEY_TENANT_PATTERN },
  limit: { type: "integer", minimum: 1, maximum: PAGE_MAX },
  seq: { type: "integer", minimum: 1, maximum: Number.MAX_SAFE_INTEGER },
  cursor: { pattern: CURSOR_PATTERN },
  "idempotency-key": { pattern: IDEMPOTENCY_KEY_PATTERN.source }
}

/** The HTTP surface, for the server, the page and the command line. */
export const Api = HttpApi.make("event-service-agent")
  .add(ServiceCalls, Admin, AccessGroup, Health)
  .middleware(RequestSchemaErrors)
  .annotate(HttpApi.ParamsParseOptions, { errors: "all" })
  .annotate(HttpApi.QueryParseOptions, { errors: "all", onExcessProperty: "error" })
  .annotateMerge(
    OpenApi.annotations({
      title: "Event Service Agent",
      version: VERSION,
      description:
        "Submit HTTP calls now or for later, and see what became of them. Every failure is a problem document " +
        "(RFC 9457); an address that is not listed here answers 404, urn:event-service-agent:problem:route-not-found.",
      // The annotation is typed for any document; what it gets is always the one made here.
      transform: (spec) => completeDocument(spec as OpenApi.OpenAPISpec, PARAMETERS, ACCESS_BY_ROUTE)
    })
  )
