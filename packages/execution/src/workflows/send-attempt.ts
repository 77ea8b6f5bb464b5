import { HttpClientPort } from "@event-service-agent/platform/http-client-port"
import { RequestUnreadable, RequestVault } from "@event-service-agent/platform/request-vault"
import type { RequestSpec, SealedRequest } from "@event-service-agent/schemas/http-request"
import { Clock, DateTime, Effect, Option } from "effect"
import { answered, type OpenAttempt, requestUnreadable, sendFailed, sendTimeoutMs } from "../domain/attempt.ts"

/** An attempt whose claim is durable, with what it takes to perform it. */
export interface ClaimedAttempt {
  readonly attempt: OpenAttempt
  /** Just before the claim, on the monotonic clock. */
  readonly claimedAtNanos: bigint
  readonly sealed: SealedRequest
}

/** Sends the request, once. None when it is too late: then nothing was sent. */
export const sendAttempt = Effect.fnUntraced(
  function* ({ attempt, claimedAtNanos, sealed }: ClaimedAttempt) {
    const vault = yield* RequestVault
    const client = yield* HttpClientPort
    if (sealed === null) return yield* new RequestUnreadable({ reason: "it was erased" })
    const request = withIdempotencyKey(yield* vault.open(attempt.key, sealed), attempt.key.serviceCallId)
    const elapsedMs = Number((yield* Clock.monotonicTimeNanos) - claimedAtNanos) / 1_000_000
    const timeoutMs = sendTimeoutMs(attempt, elapsedMs)
    if (timeoutMs <= 0) {
      // The sweep has ended the attempt, or will.
      yield* Effect.logWarning("too late to send: the attempt is past its deadline")
      return Option.none()
    }
    yield* Effect.logDebug("send attempt")
    const answer = yield* client.send(request, { timeoutMs })
    return Option.some(answered(answer, request, yield* DateTime.now))
  },
  Effect.catchTags({
    RequestUnreadable: ({ reason }) => Effect.map(DateTime.now, (now) => Option.some(requestUnreadable(reason, now))),
    SendFailed: (failure) => Effect.map(DateTime.now, (now) => Option.some(sendFailed(failure, now)))
  })
)

/** The target can tell a second request for the same call by it. */
const withIdempotencyKey = (request: RequestSpec, value: string): RequestSpec => {
  const headers = request.headers ?? {}
  const hasKey = Object.keys(headers).some((name) => name.toLowerCase() === "idempotency-key")
  return hasKey ? request : { ...request, headers: { ...headers, "Idempotency-Key": value } }
}
