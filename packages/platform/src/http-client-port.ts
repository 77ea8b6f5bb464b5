import type { RequestSpec } from "@event-service-agent/schemas/http-request"
import { FailureKind, Sent } from "@event-service-agent/schemas/outcome"
import { Clock, Context, Effect, Layer, Schema } from "effect"

/** Bytes of an answer that are read; a longer body is cut off and the connection closed. */
export const RESPONSE_BODY_BYTES_MAX = 1_048_576

/** A complete answer of the target, whatever its status. */
export interface Answer {
  /** The last instant before the send: milliseconds since 1970. */
  readonly sentAt: number
  /** Milliseconds from the send to the end of the answer. */
  readonly latencyMs: number
  readonly status: number
  readonly headers: ReadonlyArray<readonly [name: string, value: string]>
  /** The first bytes of the body, at most `BODY_SNIPPET_BYTES_MAX`. */
  readonly bodyStart: Uint8Array
  /** Bytes read, at most `RESPONSE_BODY_BYTES_MAX`. */
  readonly bodyBytes: number
}

/** No complete answer. The message is for people and holds neither secrets nor addresses. */
export class SendFailed extends Schema.TaggedError<SendFailed>()("SendFailed", {
  kind: FailureKind,
  sent: Sent,
  message: Schema.String,
  /** The last instant before the send, in milliseconds since 1970; `null` when the send was not reached. */
  sentAt: Schema.NullOr(Schema.Int),
  /** The status, when it arrived before the failure. */
  status: Schema.optionalKey(Schema.Int)
}) {}

/** Performs one HTTP request, once: nothing is sent again, no redirect is followed, no inside address is reached. */
export class HttpClientPort extends Context.Service<
  HttpClientPort,
  {
    /**
     * @param options.timeoutMs milliseconds for everything, from the name look-up to the end of the answer; then the
     *   request is aborted and `Timeout` is the failure
     */
    readonly send: (request: RequestSpec, options: { readonly timeoutMs: number }) => Effect.Effect<Answer, SendFailed>
  }
>()("@event-service-agent/platform/HttpClientPort") {
  /** Answers as the script says: for tests without a network. The script also sees every request that was sent. */
  static readonly layerScripted = (
    script: (request: RequestSpec) => Effect.Effect<Pick<Answer, "status" | "headers" | "bodyStart">, SendFailed>
  ) =>
    Layer.succeed(HttpClientPort, {
      send: Effect.fnUntraced(function* (request, { timeoutMs }) {
        const sentAt = yield* Clock.currentTimeMillis
        const answer = yield* Effect.timeoutOrElse(script(request), {
          duration: timeoutMs,
          orElse: () =>
            Effect.fail(new SendFailed({ kind: "Timeout", sent: "maybe", message: "The target took too long", sentAt }))
        })
        const latencyMs = (yield* Clock.currentTimeMillis) - sentAt
        return { sentAt, latencyMs, bodyBytes: answer.bodyStart.byteLength, ...answer }
      })
    })
}
