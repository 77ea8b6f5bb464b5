import {
  type ServiceCallDetail,
  ServiceCallReader,
  type Status
} from "@event-service-agent/orchestration/ports/service-call-reader"
import { EventBusPort } from "@event-service-agent/platform/event-bus"
import { Outbox } from "@event-service-agent/platform/outbox"
import { Transaction } from "@event-service-agent/platform/transaction"
import type { CorrelationId, ServiceCallKey, TenantId } from "@event-service-agent/schemas/ids"
import { DateTime, Effect, Option, Stream } from "effect"
import { type HttpServerRequest, HttpServerResponse } from "effect/http"
import { HttpApiBuilder, HttpApiSchema } from "effect/http-api"
import { type Accepted, makeAcceptSubmission, type Sent } from "./acceptance.ts"
import { Caller } from "./access/authenticator.ts"
import { makeLimitSubmissions, type TenantLimits } from "./access/limits.ts"
import { ALL_TENANTS } from "./access/scope.ts"
import type { Decision } from "./await-decision.ts"
import { makeAwaitEnd, preferredWait } from "./await-end.ts"
import { cancelServiceCall } from "./cancel-service-call.ts"
import { Api, type FilterQuery, PAGE_DEFAULT } from "./contract.ts"
import { encodeCursor } from "./cursor.ts"
import { RequestCorrelation } from "./edge.ts"
import { makeLiveEvents } from "./live-events.ts"
import type { SubmissionStore } from "./ports/submission-store.ts"
import { readJson } from "./read-json.ts"
import {
  countServiceCalls,
  exportServiceCalls,
  getServiceCall,
  listServiceCalls,
  statusOf
} from "./read-service-calls.ts"
import { CancelBody, ResendBody, TagsBody } from "./representations.ts"
import { decode, problemOf, withServices } from "./serving.ts"
import { setServiceCallTags } from "./set-service-call-tags.ts"
import { orUnavailable, troubleOf } from "./storage-trouble.ts"
import { type Caps, whyOf } from "./why.ts"

/**
 * @param caps what `why` explains
 * @param limits of each tenant
 */
export const layerServiceCalls = (caps: Caps, limits: TenantLimits) =>
  HttpApiBuilder.group(Api, "serviceCalls", (handlers) =>
    Effect.gen(function* () {
      const { accept, repeat } = yield* makeAcceptSubmission(limits)
      const limited = makeLimitSubmissions(limits)
      const liveEvents = yield* makeLiveEvents
      const awaitEnd = yield* makeAwaitEnd
      const served = yield* withServices<ServiceCallReader | SubmissionStore | EventBusPort | Outbox | Transaction>()

      /** 202, or 200 for a replay, or 200 with everything about the call when the client waits and it ends in time. */
      const answerAccepted = Effect.fnUntraced(function* (
        { submission, isReplay }: Accepted,
        prefer: string | undefined
      ) {
        const location = pathTo(submission)
        const replayed = isReplay ? { "idempotency-replayed": "true" } : {}
        const seconds = preferredWait(prefer)
        if (seconds !== undefined && (!isReplay || (yield* mayRead))) {
          const ended = yield* awaitEnd(submission, seconds)
          if (Option.isSome(ended)) {
            const headers = { location, "preference-applied": `wait=${seconds}`, ...replayed }
            return HttpServerResponse.jsonUnsafe(yield* withProblems(ended.value), { headers })
          }
        }
        // Something may have become of it meanwhile.
        const isOld = isReplay || seconds !== undefined
        const reference = referenceTo(submission, isOld ? yield* statusOf(submission) : "Submitted")
        return HttpServerResponse.jsonUnsafe(reference, {
          status: isReplay ? 200 : 202,
          headers: { location, ...replayed }
        })
      })
      // The hottest route writes its own answer: the contract's encoder would cost it a quarter of its time.
      const submit = Effect.fnUntraced(function* (
        tenantId: TenantId,
        sent: Sent,
        prefer: string | undefined,
        correlationId: CorrelationId
      ) {
        const accepted = yield* accept(tenantId, sent, correlationId)
        if (accepted.isReplay || prefer !== undefined) return yield* served(answerAccepted(accepted, prefer))
        const reference = referenceTo(accepted.submission, "Submitted")
        return HttpServerResponse.jsonUnsafe(reference, {
          status: 202,
          headers: { location: reference.links.self }
        })
      })
      const resend = Effect.fnUntraced(function* (
        key: ServiceCallKey,
        sent: Parameters<typeof repeat>[1],
        prefer: string | undefined,
        correlationId: CorrelationId
      ) {
        return yield* answerAccepted(yield* repeat(yield* getServiceCall(key), sent, correlationId), prefer)
      })

      return handlers
        .handleRaw(
          "submit",
          Effect.fnUntraced(function* ({ params, headers, request }) {
            const correlationId = yield* RequestCorrelation
            const sent = { body: yield* readJson(request), headerKey: headers["idempotency-key"] }
            return yield* limited(params.tenantId, submit(params.tenantId, sent, headers.prefer, correlationId))
          }, orUnavailable)
        )
        .handleRaw(
          "resend",
          Effect.fnUntraced(function* ({ params, headers, request }) {
            const correlationId = yield* RequestCorrelation
            const { dueAt } = yield* decodeResend(yield* readJson(request, { whenEmpty: {} }))
            const sent = { dueAt, headerKey: headers["idempotency-key"] }
            return yield* limited(params.tenantId, resend(params, sent, headers.prefer, correlationId))
          }, served)
        )
        .handle(
          "stats",
          Effect.fnUntraced(function* ({ params }) {
            return yield* countServiceCalls(params.tenantId)
          }, served)
        )
        .handle(
          "events",
          Effect.fnUntraced(function* ({ params, headers }) {
            return yield* liveEvents(params.tenantId, headers["last-event-id"])
          }, served)
        )
        .handle(
          "export",
          Effect.fnUntraced(function* ({ params, query }) {
            const context = yield* Effect.context<ServiceCallReader | SubmissionStore | Outbox>()
            return Stream.provideContext(exportServiceCalls(params.tenantId, toFilter(query)), context)
          }, served)
        )
        .handle(
          "list",
          Effect.fnUntraced(function* ({ params, query, request }) {
            const { limit = PAGE_DEFAULT, cursor } = query
            const filter = toFilter(query)
            const page = { limit, ...(cursor === undefined ? {} : { after: cursor }) }
            const { items, next } = yield* listServiceCalls(params.tenantId, filter, page)
            return HttpApiSchema.withHeaders({
              body: { items, next },
              headers: next === null ? {} : { link: linkToNext(request, encodeCursor(next)) }
            })
          }, served)
        )
        .handle(
          "detail",
          Effect.fnUntraced(function* ({ params }) {
            return yield* withProblems(yield* getServiceCall(params))
          }, served)
        )
        .handle(
          "why",
          Effect.fnUntraced(function* ({ params }) {
            const reader = yield* ServiceCallReader
            const outbox = yield* Outbox
            const bus = yield* EventBusPort
            const transaction = yield* Transaction
            const call = yield* getServiceCall(params)
            const [deadLetter] = yield* outbox.deadLettersOf(params)
            return whyOf({
              call,
              caps,
              deadLetter,
              waiting: yield* reader.waiting(params),
              now: yield* DateTime.now,
              health: yield* bus.health,
              storageTrouble: Option.map(yield* transaction.refusal, troubleOf),
              seesAll: (yield* Caller).tenantId === ALL_TENANTS
            })
          }, served)
        )
        .handleRaw(
          "cancel",
          Effect.fnUntraced(function* ({ params, request }) {
            // Not limited: a call is cancelled once, and to stop what goes wrong must always be possible.
            const { reason = null } = yield* decodeCancel(yield* readJson(request, { whenEmpty: {} }))
            return yield* answer(yield* cancelServiceCall(params, reason))
          }, served)
        )
        .handleRaw(
          "setTags",
          Effect.fnUntraced(function* ({ params, request }) {
            const { tags } = yield* decodeTags(yield* readJson(request))
            return yield* limited(params.tenantId, Effect.flatMap(setServiceCallTags(params, tags), answer))
          }, served)
        )
    })
  )

const decodeCancel = decode(CancelBody)
const decodeTags = decode(TagsBody)
const decodeResend = decode(ResendBody)

/** The filter as the address has it. */
const toFilter = ({ status = [], tag = [], from, to, q }: FilterQuery) => ({
  statuses: status,
  tags: tag,
  ...(from === undefined ? {} : { from }),
  ...(to === undefined ? {} : { to }),
  ...(q === undefined ? {} : { text: q })
})

const pathTo = (key: ServiceCallKey): string => `/api/tenants/${key.tenantId}/service-calls/${key.serviceCallId}`

const linksOf = (key: ServiceCallKey) => {
  const self = pathTo(key)
  return { self, cancel: `${self}/cancel`, tags: `${self}/tags` }
}

const referenceTo = (key: ServiceCallKey, status: Status) => ({
  serviceCallId: key.serviceCallId,
  status,
  links: linksOf(key)
})

const withProblems = Effect.fnUntraced(function* (call: ServiceCallDetail) {
  const outbox = yield* Outbox
  const letters = yield* outbox.deadLettersOf(call)
  return { ...call, problems: letters.map(problemOf), links: linksOf(call) }
})

/** The call as it is now when the change is decided, otherwise where to look. */
const answer = Effect.fnUntraced(function* ({ isDecided, call }: Decision) {
  if (isDecided && (yield* mayRead)) return HttpServerResponse.jsonUnsafe(yield* withProblems(call))
  return HttpServerResponse.jsonUnsafe(referenceTo(call, call.status), { status: isDecided ? 200 : 202 })
})

/** Who may change a call is told where it is; what it holds, only who may read. */
const mayRead = Effect.map(Caller, ({ scopes }) => scopes.includes("read"))

/** The address of the same list, further on. */
const linkToNext = (request: HttpServerRequest.HttpServerRequest, cursor: string): string => {
  const url = new URL(`http://localhost${request.url}`)
  url.searchParams.set("cursor", cursor)
  return `<${url.pathname}${url.search}>; rel="next"`
}
