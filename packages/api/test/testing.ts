import { type ServiceCallDetail, ServiceCallReader } from "@event-service-agent/orchestration/ports/service-call-reader"
import { EgressPolicy } from "@event-service-agent/platform/egress-policy"
import { EventBusPort } from "@event-service-agent/platform/event-bus"
import { EventLog } from "@event-service-agent/platform/event-log"
import { Outbox } from "@event-service-agent/platform/outbox"
import { RequestVault } from "@event-service-agent/platform/request-vault"
import { Stopping } from "@event-service-agent/platform/stopping"
import { Transaction } from "@event-service-agent/platform/transaction"
import type { ServiceCallKey } from "@event-service-agent/schemas/ids"
import type { Message } from "@event-service-agent/schemas/messages/catalogue"
import { Context, Effect, Layer, Option, Redacted } from "effect"
import { ApiKeyStore } from "../src/ports/api-key-store.ts"
import { byNewest, SubmissionStore } from "../src/ports/submission-store.ts"
import { TenantUsage } from "../src/ports/tenant-usage.ts"
import { matches } from "../src/read-service-calls.ts"

/** The calls that orchestration has processed, for tests to look at and to change. */
export class KnownCalls extends Context.Service<KnownCalls, Map<string, ServiceCallDetail>>()("test/KnownCalls") {
  static readonly layer = Layer.sync(KnownCalls, () => new Map<string, ServiceCallDetail>())
}

export const nameOf = (key: ServiceCallKey): string => `${key.tenantId}/${key.serviceCallId}`

const layerReader = Layer.effect(
  ServiceCallReader,
  Effect.map(KnownCalls, (calls) => ({
    get: (key) => Effect.sync(() => Option.fromNullishOr(calls.get(nameOf(key)))),
    list: (tenantId, filter, { after, limit }) =>
      Effect.sync(() =>
        [...calls.values()]
          .filter((call) => call.tenantId === tenantId && matches(filter, call))
          .filter((call) => after === undefined || byNewest(after, call) < 0)
          .sort(byNewest)
          .slice(0, limit)
      ),
    sealed: () => Effect.succeedNone,
    waiting: () =>
      Effect.succeed({
        isDue: false,
        runningOfTenant: 0,
        runningOfAll: 0,
        dueBefore: 0,
        placeFreeAtOfTenant: null,
        placeFreeAtOfAll: null,
        overdueTimers: 0,
        retry: null
      }),
    counts: () => Effect.succeed({ statuses: new Map(), tags: [], overdue: 0 })
  }))
)

/** Everything that the api module needs, in memory. Nothing consumes messages. */
export const layerStores = Layer.mergeAll(
  EventBusPort.layerMemory,
  SubmissionStore.layerMemory,
  ApiKeyStore.layerMemory,
  TenantUsage.layerMemory(),
  layerReader.pipe(Layer.provideMerge(KnownCalls.layer)),
  RequestVault.layer(Redacted.make(new Uint8Array(32).fill(7))),
  EgressPolicy.layer([]),
  Stopping.layer,
  // Nothing ever happens.
  Layer.succeed(EventLog, {
    last: Effect.succeed(0),
    horizon: Effect.succeed(0),
    after: (_, seq) => Effect.succeed({ events: [], readTo: seq })
  })
)

/** Takes the api's commands as orchestration does, for as long as the scope lasts. Every call stays Scheduled. */
export const processCommands = Effect.gen(function* () {
  const bus = yield* EventBusPort
  const calls = yield* KnownCalls
  const change = (message: Message, how: (call: ServiceCallDetail) => ServiceCallDetail) =>
    Effect.sync(() => {
      const name = `${message.tenantId}/${message.aggregateId}`
      const call = calls.get(name)
      if (call !== undefined) calls.set(name, how(call))
    })
  yield* bus.subscribe("orchestration", {
    SubmitServiceCall: (message) =>
      Effect.sync(() => calls.set(`${message.tenantId}/${message.aggregateId}`, scheduled(message))),
    CancelServiceCall: (message) =>
      change(message, (call) =>
        call.status === "Scheduled"
          ? { ...call, status: "Cancelled", outcome: { type: "Cancelled", reason: message.payload.reason } }
          : call
      ),
    SetServiceCallTags: (message) => change(message, (call) => ({ ...call, tags: message.payload.tags })),
    DueTimeReached: () => Effect.void,
    ExecutionStarted: () => Effect.void,
    ExecutionSucceeded: () => Effect.void,
    ExecutionFailed: () => Effect.void
  })
})

const scheduled = ({
  tenantId,
  aggregateId,
  correlationId,
  payload
}: Message<"SubmitServiceCall">): ServiceCallDetail => ({
  tenantId,
  serviceCallId: aggregateId,
  name: payload.name,
  status: "Scheduled",
  request: payload.request,
  tags: payload.tags,
  acceptedAt: payload.acceptedAt,
  dueAt: payload.dueAt,
  finishedAt: null,
  latenessMs: null,
  failure: null,
  correlationId,
  timeoutMs: payload.timeoutMs,
  onUnknown: payload.onUnknown,
  clonedFrom: payload.clonedFrom,
  requestKept: false,
  history: [
    { status: "Submitted", at: payload.acceptedAt },
    { status: "Scheduled", at: payload.acceptedAt }
  ],
  attempt: null,
  outcome: null
})

/** A body that is right in every way. */
export const goodBody = {
  name: "nightly report",
  tags: ["billing"],
  requestSpec: {
    method: "POST",
    url: "https://example.com/hook?token=secret",
    headers: { "content-type": "application/json", authorization: "Bearer secret" },
    body: '{"a":1}'
  }
}

/** The commands on their way to orchestration, in order. */
export const commandsUnderWay = Effect.gen(function* () {
  const outbox = yield* Outbox
  const transaction = yield* Transaction
  const { deliveries } = yield* transaction.run(outbox.deliveriesAfter("orchestration", 0, 1_000))
  return deliveries.map((delivery) => delivery.message)
})
