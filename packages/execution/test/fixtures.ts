import { EventBusPort } from "@event-service-agent/platform/event-bus"
import { HttpClientPort } from "@event-service-agent/platform/http-client-port"
import { Outbox } from "@event-service-agent/platform/outbox"
import { RequestVault } from "@event-service-agent/platform/request-vault"
import { onTestClock } from "@event-service-agent/platform/testing"
import { makeTransaction, memoryJournal, Transaction, UnitOfWork } from "@event-service-agent/platform/transaction"
import {
  type OnUnknown,
  type RequestSpec,
  redactRequest,
  type SealedRequest
} from "@event-service-agent/schemas/http-request"
import { CorrelationId, ServiceCallId, type ServiceCallKey, TenantId } from "@event-service-agent/schemas/ids"
import type { MessageDraft, MessageFor } from "@event-service-agent/schemas/messages/catalogue"
import { DateTime, Effect, Layer, Logger, Queue, Redacted, References, Scope } from "effect"
import { layer as execution, type Options } from "../src/execution.ts"
import { AttemptStore } from "../src/ports/attempt-store.ts"

export const TIMEOUT_MS = 10_000
export const REQUEST: RequestSpec = { method: "POST", url: "https://example.com/hook", body: "{}" }
export const CORRELATION_ID = CorrelationId.make("019a53b1-7c00-7d4e-8a51-000000000000")

export const callKey = (n: number) => ({
  tenantId: TenantId.make("acme"),
  serviceCallId: ServiceCallId.make(`019a53b1-7c00-7d4e-8a51-${n.toString(16).padStart(12, "0")}`)
})

/** All of the storage in memory, with a commit that can be made to fail, and heard. */
export const storage = (onCommit: () => void = () => {}) =>
  Layer.mergeAll(
    EventBusPort.layerEmbedded.pipe(
      Layer.provideMerge(
        Layer.merge(
          Outbox.layerMemory,
          Layer.effect(Transaction, makeTransaction({ ...memoryJournal, commit: onCommit }))
        )
      )
    ),
    AttemptStore.layerMemory,
    RequestVault.layer(Redacted.make(new Uint8Array(32).fill(7)))
  )

/** The body of a silent test on the test clock, with its own storage that outlives all that the test starts. */
export const test = <E>(
  effect: Effect.Effect<void, E, Layer.Success<ReturnType<typeof storage>> | Scope.Scope>,
  onCommit?: () => void
) =>
  onTestClock(
    Effect.scoped(effect).pipe(
      Effect.provide(storage(onCommit)),
      Effect.provideService(References.MinimumLogLevel, "None")
    )
  )

/** Messages with their annotations. */
export type LogLines = Array<readonly [message: unknown, annotations: unknown]>

/** Collects what the effect logs, from debug upwards. */
export const logTo = (lines: LogLines) => {
  const logger = Logger.make(({ message, fiber }) =>
    lines.push([message, fiber.getRef(References.CurrentLogAnnotations)])
  )
  return <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    effect.pipe(Effect.provide(Logger.layer([logger])), Effect.provideService(References.MinimumLogLevel, "Debug"))
}

/** A target that answers 200 without a body. */
export const OK = { status: 200, headers: [], bodyStart: new Uint8Array() }

/** A client that never gives up by itself, as a stuck one would: its answer may come after the deadline. */
export const stuckClient = (script: Parameters<typeof HttpClientPort.layerScripted>[0]) =>
  Layer.succeed(HttpClientPort, {
    send: (request) => Effect.map(script(request), (answer) => ({ sentAt: 0, latencyMs: 0, bodyBytes: 0, ...answer }))
  })

/** One start of the module in its own scope, so that a test can stop it while the storage lives on. */
export const start = Effect.fnUntraced(function* (client: Layer.Layer<HttpClientPort>, options: Options = {}) {
  const scope = yield* Scope.fork(yield* Effect.scope)
  yield* Layer.buildWithScope(execution(options).pipe(Layer.provide(client)), scope)
  return scope
})

/** Orders the call, as orchestration does. */
export const order = Effect.fnUntraced(function* (
  key: ServiceCallKey,
  {
    request = REQUEST,
    sealed,
    timeoutMs = TIMEOUT_MS,
    onUnknown = "fail"
  }: {
    readonly request?: RequestSpec
    readonly sealed?: SealedRequest
    readonly timeoutMs?: number
    readonly onUnknown?: OnUnknown
  } = {}
) {
  const bus = yield* EventBusPort
  const transaction = yield* Transaction
  const vault = yield* RequestVault
  const now = yield* DateTime.now
  const payload = {
    request: redactRequest(request),
    sealed: sealed === undefined ? yield* vault.seal(key, request) : sealed,
    timeoutMs,
    dueAt: now,
    onUnknown
  }
  const draft: MessageDraft<"StartExecution"> = {
    type: "StartExecution",
    tenantId: key.tenantId,
    aggregateType: "ServiceCall",
    aggregateId: key.serviceCallId,
    version: 3,
    timestamp: now,
    correlationId: CORRELATION_ID,
    causationId: null,
    payload
  }
  yield* transaction.run(bus.publish([draft]))
})

/** Takes orchestration's place on the bus. `next` waits for a message, `heard` has all so far. */
export const listen = Effect.gen(function* () {
  const bus = yield* EventBusPort
  const heard: Array<MessageFor<"orchestration">> = []
  const queue = yield* Queue.unbounded<MessageFor<"orchestration">>()
  const hear = Effect.fnUntraced(function* (message: MessageFor<"orchestration">) {
    const unit = yield* UnitOfWork
    unit.afterCommit(
      Effect.sync(() => {
        heard.push(message)
        Queue.offerUnsafe(queue, message)
      })
    )
  })
  yield* bus.subscribe("orchestration", {
    SubmitServiceCall: hear,
    CancelServiceCall: hear,
    SetServiceCallTags: hear,
    DueTimeReached: hear,
    ExecutionStarted: hear,
    ExecutionSucceeded: hear,
    ExecutionFailed: hear
  })
  return { heard, next: Queue.take(queue) }
})

/** What the store knows of the call's attempts. */
export const allRecorded = Effect.fnUntraced(function* (key: ServiceCallKey) {
  const store = yield* AttemptStore
  const transaction = yield* Transaction
  return yield* transaction.run(store.attemptsOf(key))
})

/** What the store knows of the call's only attempt. */
export const recorded = Effect.fnUntraced(function* (key: ServiceCallKey) {
  const [only, ...others] = yield* allRecorded(key)
  if (only === undefined || others.length > 0) return yield* Effect.die("expected one attempt")
  return only
})
