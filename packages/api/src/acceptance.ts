import { createHash } from "node:crypto"
import { EventBusPort } from "@event-service-agent/platform/event-bus"
import { RequestVault } from "@event-service-agent/platform/request-vault"
import { Transaction } from "@event-service-agent/platform/transaction"
import { type RequestSpec, redactRequest } from "@event-service-agent/schemas/http-request"
import { type CorrelationId, ServiceCallId, type TenantId } from "@event-service-agent/schemas/ids"
import { DateTime, Effect, Option } from "effect"
import { SecureRandom } from "effect/crypto"
import { checkSubmission } from "./check-submission.ts"
import { type Submission, SubmissionStore } from "./ports/submission-store.ts"
import { IdempotencyKeyReused } from "./problem.ts"
import { invalid } from "./read-json.ts"
import { TIMEOUT_DEFAULT_MS } from "./submission-body.ts"

export interface Accepted {
  readonly submission: Submission
  /** The same content under the same key had been accepted before. */
  readonly isReplay: boolean
}

/** Accepts a submission durably: once this returns, the call is stored and on its way. Same key, same call. */
export const acceptSubmission = Effect.fnUntraced(function* (
  tenantId: TenantId,
  sent: { readonly body: unknown; readonly headerKey: string | undefined },
  correlationId: CorrelationId
) {
  const acceptedAt = yield* DateTime.now
  const { body, idempotencyKey, objections } = yield* checkSubmission(sent, acceptedAt)
  const vault = yield* RequestVault
  const store = yield* SubmissionStore
  const serviceCallId = idempotencyKey === undefined ? yield* newId : idFromKey(tenantId, idempotencyKey)
  const key = { tenantId, serviceCallId }
  const fingerprint = vault.fingerprint(canonicalJson(sent.body))

  if (objections.length > 0) {
    // Due times pass and rules change: what was accepted once is answered all the same.
    const earlier = idempotencyKey === undefined ? Option.none() : yield* store.get(key)
    if (Option.isNone(earlier) || earlier.value.fingerprint !== fingerprint) return yield* invalid(objections)
    return { submission: earlier.value, isReplay: true } satisfies Accepted
  }

  const request: RequestSpec = { ...body.requestSpec, url: new URL(body.requestSpec.url).href }
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
    correlationId
  }
  const sealed = yield* vault.seal(key, request)
  const transaction = yield* Transaction
  const earlier = yield* transaction.run(record(submission, sealed, body.keepRequest ?? false))
  if (Option.isNone(earlier)) return { submission, isReplay: false } satisfies Accepted
  if (earlier.value.fingerprint !== fingerprint) {
    return yield* new IdempotencyKeyReused({
      detail: "Use a new key for other content, or send exactly what was sent first",
      serviceCallId
    })
  }
  return { submission: earlier.value, isReplay: true } satisfies Accepted
})

/** The submission and its command commit together. Returns the earlier submission when the key is taken. */
const record = Effect.fnUntraced(function* (submission: Submission, sealed: Uint8Array, keepRequest: boolean) {
  const store = yield* SubmissionStore
  const earlier = yield* store.insert(submission)
  if (Option.isSome(earlier)) return earlier
  const bus = yield* EventBusPort
  const { tenantId, serviceCallId, correlationId, acceptedAt, dueAt, name, request, tags, timeoutMs, onUnknown } =
    submission
  yield* bus.publish([
    {
      type: "SubmitServiceCall",
      tenantId,
      aggregateType: "Submission",
      aggregateId: serviceCallId,
      version: 1,
      timestamp: acceptedAt,
      correlationId,
      causationId: null,
      payload: { name, dueAt, acceptedAt, request, sealed, tags, timeoutMs, onUnknown, keepRequest }
    }
  ])
  return earlier
})

const newId = Effect.gen(function* () {
  const random = yield* SecureRandom.SecureRandom
  return ServiceCallId.make(yield* random.uuidV7())
})

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
export const canonicalJson = (body: unknown): string =>
  JSON.stringify(body, (name, value: unknown) =>
    typeof value !== "object" || value === null || Array.isArray(value)
      ? value
      : Object.fromEntries(
          Object.entries(value)
            .filter(([field]) => name !== "" || field !== "idempotencyKey")
            .sort(([a], [b]) => (a < b ? -1 : 1))
        )
  )
