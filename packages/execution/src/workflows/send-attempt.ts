import { HttpClientPort } from "@event-service-agent/platform/http-client-port"
import { RequestUnreadable, RequestVault } from "@event-service-agent/platform/request-vault"
import { currentSpan } from "@event-service-agent/platform/tracing"
import type { RequestSpec, SealedRequest } from "@event-service-agent/schemas/http-request"
import { newTraceparent } from "@event-service-agent/schemas/nats"
import { formatTraceparent } from "@event-service-agent/schemas/traceparent"
import { Clock, DateTime, Effect, Option, type Tracer } from "effect"
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
    const opened = withIdempotencyKey(yield* vault.open(attempt.key, sealed), attempt.key.serviceCallId)
    const span = yield* currentSpan
    if (span !== undefined) describeTarget(span, opened)
    const request = withTraceparent(opened, () =>
      span === undefined ? (attempt.traceparent ?? newTraceparent(attempt.correlationId)) : formatTraceparent(span)
    )
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

/** No path and no query: secrets may be in them. */
const describeTarget = (span: Tracer.Span, { method, url }: RequestSpec): void => {
  span.attribute("http.request.method", method)
  if (!URL.canParse(url)) return
  const { hostname, port, protocol } = new URL(url)
  span.attribute("server.address", hostname)
  span.attribute("server.port", Number(port || (protocol === "https:" ? 443 : 80)))
}

/** What a tenant sets the header `traceparent` to for the current one. Anything else is sent as it is. */
const TRACEPARENT_AUTO = "auto"

const withTraceparent = (request: RequestSpec, current: () => string): RequestSpec => {
  const { headers = {} } = request
  const name = Object.keys(headers).find((one) => one.toLowerCase() === "traceparent")
  if (name === undefined || headers[name] !== TRACEPARENT_AUTO) return request
  return { ...request, headers: { ...headers, [name]: current() } }
}

/** The target can tell a second request for the same call by it. */
const withIdempotencyKey = (request: RequestSpec, value: string): RequestSpec => {
  const headers = request.headers ?? {}
  const hasKey = Object.keys(headers).some((name) => name.toLowerCase() === "idempotency-key")
  return hasKey ? request : { ...request, headers: { ...headers, "Idempotency-Key": value } }
}
