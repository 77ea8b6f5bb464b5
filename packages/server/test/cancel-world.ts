import * as Execution from "@event-service-agent/execution/execution"
import { AttemptStore } from "@event-service-agent/execution/ports/attempt-store"
import * as Orchestration from "@event-service-agent/orchestration/orchestration"
import { ServiceCallRepository } from "@event-service-agent/orchestration/ports/service-call-repository"
import { EventBusPort } from "@event-service-agent/platform/event-bus"
import { HttpClientPort } from "@event-service-agent/platform/http-client-port"
import { RequestVault } from "@event-service-agent/platform/request-vault"
import { onTestClock, settle } from "@event-service-agent/platform/testing"
import { TimerPort } from "@event-service-agent/platform/timer-port"
import { Transaction, UnitOfWork } from "@event-service-agent/platform/transaction"
import { type RequestSpec, redactRequest } from "@event-service-agent/schemas/http-request"
import { CorrelationId, ServiceCallId, TenantId } from "@event-service-agent/schemas/ids"
import type { MessageDraft } from "@event-service-agent/schemas/messages/catalogue"
import { fromMillis, toMillis } from "@event-service-agent/schemas/time"
import { TimerStore } from "@event-service-agent/timer/ports/timer-store"
import * as Timer from "@event-service-agent/timer/timer"
import { Context, DateTime, Effect, Layer, Option, Redacted } from "effect"

/** How long the target takes to answer, milliseconds. */
export const ANSWER_MS = 300
/** So low that calls which are due wait for their turn. */
const CAPS = { total: 2, perTenant: 1 }

const uuid = (n: number) => `00000000-0000-7000-8000-${String(n).padStart(12, "0")}`
/** Calls are numbered; each number is a call of one of two tenants. */
export const keyOf = (call: number) => ({
  tenantId: TenantId.make(`tenant-${call % 2}`),
  serviceCallId: ServiceCallId.make(uuid(call))
})
const requestOf = (call: number): RequestSpec => ({ method: "POST", url: `https://example.com/${call}`, body: "x" })
const callIn = (url: string) => Number(new URL(url).pathname.slice(1))

/** What orchestration has published, and the URLs of the requests that came to the target. */
class Observed extends Context.Service<
  Observed,
  { readonly published: Array<MessageDraft>; readonly sent: Array<string> }
>()("test/Observed") {
  static readonly layer = Layer.sync(Observed, () => ({ published: [], sent: [] }))
}

/** The bus, which also notes what is committed. */
const observedBus = Layer.effect(
  EventBusPort,
  Effect.gen(function* () {
    const bus = yield* EventBusPort
    const { published } = yield* Observed
    return {
      ...bus,
      publish: Effect.fnUntraced(function* (drafts: ReadonlyArray<MessageDraft>) {
        const unit = yield* UnitOfWork
        const own = drafts.filter(({ aggregateType }) => aggregateType === "ServiceCall")
        unit.afterCommit(Effect.sync(() => published.push(...own)))
        yield* bus.publish(drafts)
      })
    }
  })
)

/** Orchestration, timer and execution over stores in memory, with a target that counts. */
const makeWorld = Effect.gen(function* () {
  const bus = yield* EventBusPort
  const transaction = yield* Transaction
  const repository = yield* ServiceCallRepository
  const vault = yield* RequestVault
  const { published, sent } = yield* Observed

  const envelope = Effect.fnUntraced(function* (call: number) {
    const { tenantId, serviceCallId: aggregateId } = keyOf(call)
    const timestamp = yield* DateTime.now
    return {
      tenantId,
      aggregateId,
      version: 1,
      timestamp,
      correlationId: CorrelationId.make(uuid(0)),
      causationId: null
    }
  })
  const publish = (draft: MessageDraft) => transaction.run(bus.publish([draft]))

  return {
    now: Effect.map(DateTime.now, toMillis),
    /** The messages of orchestration about the call so far, in the order of their commits. */
    saidOf: (call: number) => published.filter(({ aggregateId }) => aggregateId === keyOf(call).serviceCallId),
    /** How many requests came to the target. */
    sentOf: (call: number) => sent.filter((url) => callIn(url) === call).length,
    find: (call: number) => Effect.map(transaction.run(repository.find(keyOf(call))), Option.getOrUndefined),
    submit: Effect.fnUntraced(function* (call: number, dueAt: number) {
      const acceptedAt = yield* DateTime.now
      yield* publish({
        ...(yield* envelope(call)),
        type: "SubmitServiceCall",
        aggregateType: "Submission",
        payload: {
          name: `call ${call}`,
          dueAt: fromMillis(dueAt),
          acceptedAt,
          request: redactRequest(requestOf(call)),
          sealed: yield* vault.seal(keyOf(call), requestOf(call)),
          tags: [],
          timeoutMs: 10_000,
          onUnknown: "fail",
          keepRequest: false,
          clonedFrom: null
        }
      })
    }),
    cancel: Effect.fnUntraced(function* (call: number) {
      const payload = { reason: null }
      yield* publish({ ...(yield* envelope(call)), type: "CancelServiceCall", aggregateType: "Submission", payload })
    }),
    tag: Effect.fnUntraced(function* (call: number, tags: ReadonlyArray<string>) {
      const payload = { tags }
      yield* publish({ ...(yield* envelope(call)), type: "SetServiceCallTags", aggregateType: "Submission", payload })
    }),
    /** What a timer says that fires once more, or fires although it was cancelled. */
    ring: Effect.fnUntraced(function* (call: number, dueAt: number) {
      const payload = { dueAt: fromMillis(dueAt), reachedAt: yield* DateTime.now }
      yield* publish({ ...(yield* envelope(call)), type: "DueTimeReached", aggregateType: "Timer", payload })
    }),
    /** Waits, in no time, until everybody has done what there is to do. */
    settled: Effect.andThen(settle, settle)
  }
})
export type World = Effect.Success<typeof makeWorld>

/** The body of a test on the test clock, in a world of its own. */
export const inWorld = <E>(use: (world: World) => Effect.Effect<void, E>) => {
  const storage = Layer.mergeAll(
    ServiceCallRepository.layerMemory,
    TimerStore.layerMemory,
    AttemptStore.layerMemory,
    RequestVault.layer(Redacted.make(new Uint8Array(32).fill(7))),
    EventBusPort.layerMemory,
    Observed.layer
  )
  const client = Layer.unwrap(
    Effect.map(Observed, ({ sent }) =>
      HttpClientPort.layerScripted(({ url }) => {
        sent.push(url)
        return Effect.sleep(ANSWER_MS).pipe(Effect.as({ status: 200, headers: [], bodyStart: new Uint8Array() }))
      })
    )
  )
  const modules = Timer.layer.pipe(
    Layer.provideMerge(Execution.layer()),
    Layer.provideMerge(Orchestration.layer(CAPS)),
    Layer.provide(TimerPort.layer),
    Layer.provide(client)
  )
  return onTestClock(
    Effect.flatMap(makeWorld, use).pipe(
      Effect.provide(Layer.provideMerge(modules, Layer.provideMerge(observedBus, storage)))
    )
  )
}
