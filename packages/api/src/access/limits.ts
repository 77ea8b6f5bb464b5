import type { TenantId } from "@event-service-agent/schemas/ids"
import { Clock, Effect } from "effect"
import { HttpServerRespondable, HttpServerResponse } from "effect/http"
import type { Usage } from "../ports/tenant-usage.ts"
import { ContentTooLarge, QuotaExceeded, RateLimited } from "../problem.ts"
import { makeTokenBuckets } from "./token-buckets.ts"

/** What one tenant may take up; `null` is as much as there is. */
export interface TenantLimits {
  readonly submissionsPerSecond: number | null
  /** Calls that have not ended. */
  readonly pendingCalls: number | null
  readonly storedBytes: number | null
}

export const NO_LIMITS: TenantLimits = { submissionsPerSecond: null, pendingCalls: null, storedBytes: null }

/** Calls end all the time. */
const RETRY_PENDING_SECONDS = 10
/** Bytes are given back when calls end, and by retention, which takes its time. */
const RETRY_BYTES_SECONDS = 3_600

/**
 * The quota that one more call would exceed, if any; `ContentTooLarge` when it would do so however long it waits.
 *
 * @param bytes that the call would add at once; its outcome comes later
 */
export const exceededQuota = (
  limits: TenantLimits,
  usage: Usage,
  bytes: number
): QuotaExceeded | ContentTooLarge | undefined => {
  const { pendingCalls, storedBytes } = limits
  if (storedBytes !== null && bytes > storedBytes) {
    return new ContentTooLarge({
      detail: `This call would add ${bytes} bytes, and all calls of the tenant together may hold ${storedBytes} (QUOTA_STORED_BYTES): it will never fit. Send a smaller one, or ask the operator for more`
    })
  }
  if (pendingCalls !== null && usage.pendingCalls >= pendingCalls) {
    return new QuotaExceeded({
      detail: `The tenant has ${usage.pendingCalls} calls that have not ended, and may have ${pendingCalls}: wait until some have ended, or cancel some`,
      limit: "QUOTA_PENDING_CALLS",
      quota: pendingCalls,
      used: usage.pendingCalls,
      retryAfterSeconds: RETRY_PENDING_SECONDS
    })
  }
  if (storedBytes === null || usage.storedBytes + bytes <= storedBytes) return undefined
  return new QuotaExceeded({
    detail: `The tenant's calls hold ${usage.storedBytes} bytes, this one would add ${bytes}, and ${storedBytes} are allowed: cancel some that wait, wait until calls have ended and old ones are deleted, or ask the operator for more`,
    limit: "QUOTA_STORED_BYTES",
    quota: storedBytes,
    used: usage.storedBytes,
    retryAfterSeconds: RETRY_BYTES_SECONDS
  })
}

/**
 * Makes what lets through as fast as the tenant may what stores something each time: submissions, repetitions, changes
 * of tags. It says in the headers what is left (as in draft-ietf-httpapi-ratelimit-headers). A refusal is an answer,
 * since problems have no headers.
 */
export const makeLimitSubmissions = (limits: TenantLimits) => {
  type Answer = HttpServerResponse.HttpServerResponse
  const { submissionsPerSecond: rate } = limits
  const buckets = rate === null ? undefined : makeTokenBuckets(rate)

  const explainQuota = <E, R>(answered: Effect.Effect<Answer, E, R>) =>
    Effect.catchIf(
      answered,
      (error): error is E & QuotaExceeded => error instanceof QuotaExceeded,
      (error) => {
        const { limit, quota, used } = error
        return refusal(error, { name: POLICIES[limit], quota }, Math.max(0, quota - used))
      }
    )

  return <E, R>(tenantId: TenantId, answered: Effect.Effect<Answer, E, R>): Effect.Effect<Answer, E, R> => {
    const explained = limits.pendingCalls === null && limits.storedBytes === null ? answered : explainQuota(answered)
    if (buckets === undefined || rate === null) return explained
    return Effect.flatMap(Clock.monotonicTimeNanos, (nanos) => {
      const left = buckets.take(tenantId, nanos)
      if (left === undefined) return refusal(tooFast(rate), { name: SUBMISSIONS, quota: rate, windowSeconds: 1 }, 0)
      const headers = limitHeaders({ name: SUBMISSIONS, quota: rate, windowSeconds: 1 }, left)
      // What was refused for something else has its own headers.
      return Effect.map(explained, (answer) =>
        answer.status === 429 ? answer : HttpServerResponse.setHeaders(answer, headers)
      )
    })
  }
}

const SUBMISSIONS = "submissions"
const POLICIES = { QUOTA_PENDING_CALLS: "pending-calls", QUOTA_STORED_BYTES: "stored-bytes" } as const

interface Policy {
  readonly name: string
  readonly quota: number
  readonly windowSeconds?: number
}

const tooFast = (rate: number): RateLimited =>
  new RateLimited({
    detail: `The tenant may submit, repeat and tag ${rate} calls a second, all together: wait as long as Retry-After says, and send less at a time`,
    limit: "RATE_LIMIT_SUBMISSIONS",
    quota: rate,
    retryAfterSeconds: 1
  })

const refusal = (problem: RateLimited | QuotaExceeded, policy: Policy, left: number) =>
  Effect.map(HttpServerRespondable.toResponse(problem), (answer) =>
    HttpServerResponse.setHeaders(answer, {
      "retry-after": String(problem.retryAfterSeconds),
      ...limitHeaders(policy, left)
    })
  )

/** As structured fields. Bytes are counted as such, calls that have not ended as what goes on at the same time. */
const limitHeaders = ({ name, quota, windowSeconds }: Policy, left: number) => ({
  "ratelimit-policy": `"${name}";q=${quota}${UNITS.get(name) ?? ""}${windowSeconds === undefined ? "" : `;w=${windowSeconds}`}`,
  ratelimit: `"${name}";r=${left}${windowSeconds === undefined ? "" : `;t=${windowSeconds}`}`
})
const UNITS: ReadonlyMap<string, string> = new Map([
  ["pending-calls", ';qu="concurrent-requests"'],
  ["stored-bytes", ';qu="content-bytes"']
])
