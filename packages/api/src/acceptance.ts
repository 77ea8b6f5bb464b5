import { createHash } from "node:crypto"
import { type ServiceCallDetail, ServiceCallReader } from "@event-service-agent/orchestration/ports/service-call-reader"
import { EgressPolicy } from "@event-service-agent/platform/egress-policy"
import { EventBusPort } from "@event-service-agent/platform/event-bus"
import { RequestVault } from "@event-service-agent/platform/request-vault"
import { Transaction } from "@event-service-agent/platform/transaction"
import { type RequestSpec, redactRequest } from "@event-service-agent/schemas/http-request"
import { type CorrelationId, newServiceCallId, ServiceCallId, type TenantId } from "@event-service-agent/schemas/ids"
import type { MessageDraft } from "@event-service-agent/schemas/messages/catalogue"
import { STARRED } from "@event-service-agent/schemas/tags"
import { DateTime, Effect, Metric, Option, Result } from "effect"
import { exceededQuota, NO_LIMITS, type TenantLimits } from "./access/limits.ts"
import { checkSubmission, dueErrors, keyErrors } from "./check-submission.ts"
import { type Submission, SubmissionStore } from "./ports/submission-store.ts"
import { TenantUsage } from "./ports/tenant-usage.ts"
import { IdempotencyKeyReused, RequestNotKept } from "./problem.ts"
import { invalid } from "./read-json.ts"
import { TIMEOUT_DEFAULT_MS } from "./submission-body.ts"

const submissions = Metric.counter("esa_submissions_total", {
  description: "Submissions that were answered with a call: a new one, or the one that has their idempotency key",
  incremental: true
})
const accepted = Metric.withAttributes(submissions, { result: "accepted" })
const replayed = Metric.withAttributes(submissions, { result: "replayed" })

export interface Accepted {
  readonly submission: Submission
  /** The same content under the same key had been accepted before. */
  readonly isReplay: boolean
}

/** What a client submits. */
export interface Sent {
  readonly body: unknown
  /** The Idempotency-Key of the header. */
  readonly headerKey: string | undefined
}

/**
 * Makes what accepts submissions, and repetitions of calls, durably: once it returns, the call is stored and on its way.
 * Same key, same call. It fails with `InvalidRequest`, `IdempotencyKeyReused`, `RequestNotKept`, `QuotaExceeded`,
 * `ContentTooLarge` or `StorageError`.
 */
export const makeAcceptSubmission = Effect.fnUntraced(function* (limits: TenantLimits = NO_LIMITS) {
  // So that the first one is seen as such: a series that begins at 1 has not grown.
  yield* Effect.andThen(Metric.update(accepted, 0), Metric.update(replayed, 0))
  const reader = yield* ServiceCallReader
  const policy = yield* EgressPolicy
  const vault = yield* RequestVault
  const store = yield* SubmissionStore
  const bus = yield* EventBusPort
  const transaction = yield* Transaction
  const usage = yield* TenantUsage
  const hasQuota = limits.pendingCalls !== null || limits.storedBytes !== null

  /** The submission and its command commit together. Returns the earlier submission when the key is taken. */
  const record = (submission: Submission, sealed: Uint8Array, keepRequest: boolean) =>
    Effect.tap(store.insert(submission), (earlier) =>
      Option.isSome(earlier) ? Effect.void : bus.publish([commandOf(submission, sealed, keepRequest)])
    )

  /** In the same unit: of two submissions for the last place one gets it. What was accepted before is answered all the same. */
  const recordWithin = Effect.fnUntraced(function* (submission: Submission, sealed: Uint8Array, keepRequest: boolean) {
    const { name, request, tags } = submission
    const bytes = Buffer.byteLength(name + JSON.stringify(request) + JSON.stringify(tags)) + sealed.byteLength
    const exceeded = exceededQuota(limits, yield* usage.of(submission.tenantId), bytes)
    if (exceeded === undefined) return yield* record(submission, sealed, keepRequest)
    const earlier = yield* store.earlier(submission)
    return Option.isSome(earlier) ? earlier : yield* exceeded
  })

  /** Seals and stores it under its key, or finds the earlier one that has the key. */
  const take = Effect.fnUntraced(function* (submission: Submission, request: RequestSpec, keepRequest: boolean) {
    const sealed = yield* vault.seal(submission, request)
    const unit = hasQuota ? recordWithin : record
    const earlier = yield* transaction.run(unit(submission, sealed, keepRequest))
    if (Option.isSome(earlier)) return yield* replay(earlier.value, submission.fingerprint)
    yield* Metric.update(accepted, 1)
    return { submission, isReplay: false } satisfies Accepted
  })

  const accept = Effect.fnUntraced(function* (tenantId: TenantId, sent: Sent, correlationId: CorrelationId) {
    const acceptedAt = yield* DateTime.now
    const checked = checkSubmission(sent, acceptedAt, policy)
    if (Result.isFailure(checked)) return yield* checked.failure
    const { body, href, idempotencyKey, objections } = checked.success
    const serviceCallId = idempotencyKey === undefined ? newServiceCallId() : idFromKey(tenantId, idempotencyKey)
    const key = { tenantId, serviceCallId }
    const fingerprint = vault.fingerprint(canonicalJson(sent.body))

    if (objections.length > 0) {
      // Due times pass and rules change: what was accepted once is answered all the same.
      const earlier = idempotencyKey === undefined ? Option.none() : yield* store.get(key)
      if (Option.isNone(earlier) || earlier.value.fingerprint !== fingerprint) return yield* invalid(objections)
      return yield* replay(earlier.value, fingerprint)
    }

    const request: RequestSpec = { ...body.requestSpec, url: href }
    const submission: Submission = {
      ...key,
      fingerprint,
      acceptedAt,
      dueAt: body.dueAt === undefined ? acceptedAt : DateTime.max(body.dueAt, acceptedAt),
      name: body.name,
      request: redactRequest(request),
      tags: body.tags ?? [],
      timeoutMs: body.timeoutMs ?? TIMEOUT_DEFAULT_MS,
      onUnknown: body.onUnknown ?? "fail",
      clonedFrom: body.clonedFrom ?? null,
      correlationId
    }
    return yield* take(submission, request, body.keepRequest ?? false)
  })

  /** The same request once more, as a call of its own. Nothing of it can be changed: a kept secret stays where it was. */
  const repeat = Effect.fnUntraced(function* (
    original: ServiceCallDetail,
    sent: { readonly dueAt: DateTime.Utc | undefined; readonly headerKey: string | undefined },
    correlationId: CorrelationId
  ) {
    const { tenantId, serviceCallId, name, tags, timeoutMs, onUnknown } = original
    const acceptedAt = yield* DateTime.now
    const wrong = [...keyErrors(sent.headerKey, undefined), ...dueErrors(sent, acceptedAt)]
    const newId = sent.headerKey === undefined ? newServiceCallId() : idFromKey(tenantId, sent.headerKey)
    const dueAt = sent.dueAt === undefined ? null : DateTime.formatIso(sent.dueAt)
    const fingerprint = vault.fingerprint(canonicalJson({ repeat: serviceCallId, dueAt }))
    const kept = yield* reader.sealed(original)
    if (wrong.length > 0 || Option.isNone(kept)) {
      // Requests are erased and due times pass: what was accepted once is answered all the same.
      const earlier = yield* store.get({ tenantId, serviceCallId: newId })
      if (Option.isSome(earlier)) return yield* replay(earlier.value, fingerprint)
      return yield* wrong.length > 0 ? invalid(wrong) : new RequestNotKept({ detail: NOT_KEPT })
    }
    const request = yield* Effect.mapError(
      vault.open(original, kept.value.sealed),
      ({ reason }) => new RequestNotKept({ detail: `The request does not open, because ${reason}` })
    )
    const submission: Submission = {
      tenantId,
      serviceCallId: newId,
      fingerprint,
      acceptedAt,
      dueAt: sent.dueAt === undefined ? acceptedAt : DateTime.max(sent.dueAt, acceptedAt),
      name,
      request: redactRequest(request),
      tags: tags.filter((tag) => tag !== STARRED),
      timeoutMs,
      onUnknown,
      clonedFrom: serviceCallId,
      correlationId
    }
    return yield* take(submission, request, kept.value.keepRequest)
  })

  return { accept, repeat }
})

/** The answer to a key that is taken. */
const replay = Effect.fnUntraced(function* (earlier: Submission, fingerprint: string) {
  if (earlier.fingerprint !== fingerprint) {
    return yield* new IdempotencyKeyReused({
      detail: "Use a new key for other content, or send exactly what was sent first",
      serviceCallId: earlier.serviceCallId
    })
  }
  yield* Metric.update(replayed, 1)
  return { submission: earlier, isReplay: true } satisfies Accepted
})

const NOT_KEPT = "It is erased when the call starts or ends, unless it was submitted with keepRequest. Submit it anew"

const commandOf = (
  submission: Submission,
  sealed: Uint8Array,
  keepRequest: boolean
): MessageDraft<"SubmitServiceCall"> => {
  const { tenantId, serviceCallId, correlationId, acceptedAt, dueAt, name, request, tags, timeoutMs, onUnknown } =
    submission
  return {
    type: "SubmitServiceCall",
    tenantId,
    aggregateType: "Submission",
    aggregateId: serviceCallId,
    version: 1,
    timestamp: acceptedAt,
    correlationId,
    causationId: null,
    payload: {
      name,
      dueAt,
      acceptedAt,
      request,
      sealed,
      tags,
      timeoutMs,
      onUnknown,
      keepRequest,
      clonedFrom: submission.clonedFrom
    }
  }
}

/** The call's id for a key: UUIDv8 of the SHA-256 of tenant and key, the same wherever it is computed. */
export const idFromKey = (tenantId: TenantId, idempotencyKey: string): ServiceCallId => {
  // A tenant id has no line feed, so no two pairs are written alike.
  const bytes = createHash("sha256").update(`${tenantId}\n${idempotencyKey}`).digest()
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x80, 6)
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8)
  const hex = bytes.toString("hex")
  const parts = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)]
  return ServiceCallId.make(parts.join("-"))
}

/** The body as sent, names sorted, without the key: equal for bodies that mean the same. */
export const canonicalJson = (body: unknown): string => JSON.stringify(sorted(body, "idempotencyKey"))

const sorted = (value: unknown, leftOut?: string): unknown => {
  if (typeof value !== "object" || value === null) return value
  if (Array.isArray(value)) return value.map((part) => sorted(part))
  const names = Object.keys(value).filter((name) => name !== leftOut)
  return Object.fromEntries(names.sort().map((name) => [name, sorted(Reflect.get(value, name))]))
}
