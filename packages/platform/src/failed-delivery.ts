import type { Consumer } from "@event-service-agent/schemas/envelope"
import type { Message } from "@event-service-agent/schemas/messages/catalogue"
import { Cause, Clock, Context, Effect } from "effect"
import { annotationsOf } from "./message-log.ts"
import { type Delivery, keyOf, Outbox } from "./outbox.ts"
import { logRefusal, retryStorage, STORAGE_RETRY_MS, StorageError } from "./storage-error.ts"
import { beginSpan, callAttributes, endSpan, failedAs, Tracing } from "./tracing.ts"
import { Transaction } from "./transaction.ts"

/** Failures after which a message becomes a dead letter. */
export const TRIES_MAX = 10
export const BACKOFF_FIRST_MS = 100
export const BACKOFF_MAX_MS = 30_000

/** Pauses between the tries of a message that its handler fails on: from the first on each is twice as long, up to the longest. */
export const RetryPolicy = Context.Reference<{ readonly firstMs: number; readonly maxMs: number }>(
  "@event-service-agent/platform/RetryPolicy",
  { defaultValue: () => ({ firstMs: BACKOFF_FIRST_MS, maxMs: BACKOFF_MAX_MS }) }
)

/** What becomes of a delivery that a consumer could not handle. */
export type Failed =
  /** It is to be tried again, `pauseMs` milliseconds from now. */
  { readonly _tag: "Later"; readonly delivery: Delivery; readonly pauseMs: number } | { readonly _tag: "DeadLetter" }

/**
 * Counts the failures of a consumer: after `TRIES_MAX` a message is a dead letter. What the storage refuses, it does not
 * count.
 */
export const makeFailedDeliveries = Effect.fnUntraced(function* (consumer: Consumer) {
  const outbox = yield* Outbox
  const transaction = yield* Transaction
  const { firstMs, maxMs } = yield* RetryPolicy
  const backoffMs = (attempts: number): number => Math.min(firstMs * 2 ** (attempts - 1), maxMs)

  const judge = Effect.fnUntraced(
    function* (delivery: Delivery, cause: Cause.Cause<unknown>) {
      if (Cause.hasInterruptsOnly(cause)) return yield* Effect.interrupt
      const now = yield* Clock.currentTimeMillis
      const { message, seq } = delivery
      const failure = Cause.squash(cause)
      if (failure instanceof StorageError) {
        yield* logRefusal("the message will be tried again", failure)
        const next = { ...delivery, availableAt: now + STORAGE_RETRY_MS }
        return { _tag: "Later", delivery: next, pauseMs: STORAGE_RETRY_MS } satisfies Failed
      }
      const attempts = delivery.attempts + 1
      if (yield* Tracing) yield* traceFailure(consumer, message, attempts)
      const error = failure instanceof Error ? `${failure.name}: ${failure.message}` : String(failure)
      if (attempts >= TRIES_MAX) {
        yield* retryStorage(transaction.run(outbox.bury({ consumer, seq, attempts, error, diedAt: now })))
        yield* Effect.logError(`${consumer} gave ${message.type} up: it is a dead letter now`, error)
        return { _tag: "DeadLetter" } satisfies Failed
      }
      const pauseMs = backoffMs(attempts)
      const next = { ...delivery, attempts, availableAt: now + pauseMs }
      yield* retryStorage(transaction.run(outbox.postpone(consumer, next)))
      yield* Effect.logWarning(`${consumer} failed on ${message.type}, try ${attempts} of ${TRIES_MAX}`, error)
      return { _tag: "Later", delivery: next, pauseMs } satisfies Failed
    },
    (effect, delivery) => Effect.annotateLogs(effect, annotationsOf(delivery.message))
  )
  return { backoffMs, judge }
})

/** The unit was rolled back, and its spans with it. This one says that the message was tried. */
const traceFailure = Effect.fnUntraced(function* (consumer: Consumer, message: Message, attempts: number) {
  const span = yield* beginSpan(`${consumer} ${message.type}`, {
    kind: "consumer",
    traceparent: message.traceparent,
    attributes: {
      ...callAttributes(keyOf(message), message.correlationId),
      "esa.message_id": message.messageId,
      "esa.attempt": attempts,
      "error.type": HANDLER_FAILED
    }
  })
  yield* endSpan(span, failedAs(HANDLER_FAILED))
})
const HANDLER_FAILED = "HandlerFailed"
