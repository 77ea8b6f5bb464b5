import { Outbox } from "@event-service-agent/platform/outbox"
import { keyOfCall, numbered } from "@event-service-agent/platform/test-messages"
import { live } from "@event-service-agent/platform/testing"
import { Transaction } from "@event-service-agent/platform/transaction"
import { newMessageId } from "@event-service-agent/schemas/ids"
import { Effect, Layer, type Scope } from "effect"
import { describe, expect, it } from "vitest"
import { RelayStore } from "../../src/nats/relay-store.ts"
import { layer as outboxLayer } from "../../src/sqlite/outbox.ts"
import { layer as relayStoreLayer } from "../../src/sqlite/relay-store.ts"
import { layer as transactionLayer } from "../../src/sqlite/transaction.ts"
import { temporaryDatabase } from "./temporary-database.ts"

type Ports = Outbox | RelayStore | Transaction
const layer = Layer.mergeAll(transactionLayer, outboxLayer, relayStoreLayer).pipe(Layer.provide(temporaryDatabase))
const within = <A, E>(test: Effect.Effect<A, E, Ports | Scope.Scope>) => live(Effect.provide(test, layer))

/** Publishes one message of each call, so that a module and both relays have it. Returns the first seq. */
const append = (...calls: ReadonlyArray<number>) =>
  Effect.flatMap(Outbox, (outbox) =>
    outbox.append(
      calls.map((call) => ({
        message: { ...numbered(call, call), messageId: newMessageId(), schemaVersion: 1 as const },
        to: ["orchestration", "relay-work", "relay-events"] as const
      }))
    )
  )
const inUnit = Effect.fnUntraced(function* <A, E, R>(unit: Effect.Effect<A, E, R>) {
  const transaction = yield* Transaction
  return yield* transaction.run(unit)
})
const waiting = Effect.fnUntraced(function* (relay: "relay-work" | "relay-events") {
  const store = yield* RelayStore
  return (yield* inUnit(store.waiting(relay, 100))).map(({ seq, again }) => ({ seq, again }))
})

describe("RelayStore", () => {
  it(
    "has what was sent and not handled published once more, also beside a message that nobody can send",
    within(
      Effect.gen(function* () {
        const store = yield* RelayStore
        const first = yield* inUnit(append(1, 2, 3))
        // The oldest one stays with the relay.
        const sent = [first + 1, first + 2].map((seq) => ({ seq, again: 0 }))
        yield* inUnit(store.settle("relay-work", sent, 1_000))
        expect(yield* waiting("relay-work")).toEqual([{ seq: first, again: 0 }])
        expect(yield* inUnit(store.publishUnhandled("orchestration", 999, 5_000))).toBe(0)
        expect(yield* inUnit(store.publishUnhandled("orchestration", 1_000, 5_000))).toBe(2)
        const again = sent.map(({ seq }) => ({ seq, again: 5_000 }))
        expect(yield* waiting("relay-work")).toEqual([{ seq: first, again: 0 }, ...again])
      })
    )
  )

  it(
    "keeps a message that is to be published once more since the relay has read it",
    within(
      Effect.gen(function* () {
        const store = yield* RelayStore
        const first = yield* inUnit(append(1))
        yield* inUnit(store.publishAll("orchestration", keyOfCall(1), 7_000))
        yield* inUnit(store.settle("relay-work", [{ seq: first, again: 0 }], 8_000))
        expect(yield* waiting("relay-work")).toEqual([{ seq: first, again: 7_000 }])
        yield* inUnit(store.settle("relay-work", [{ seq: first, again: 7_000 }], 9_000))
        expect(yield* waiting("relay-work")).toEqual([])
      })
    )
  )

  it(
    "repeats events under new ids, those too that are just on their way",
    within(
      Effect.gen(function* () {
        const store = yield* RelayStore
        const first = yield* inUnit(append(1, 2))
        yield* inUnit(store.settle("relay-events", [{ seq: first, again: 0 }], 1_000))
        expect(yield* inUnit(store.publishEvents(0, 0, 6_000))).toEqual({ count: 2, last: first + 1 })
        expect(yield* waiting("relay-events")).toEqual([first, first + 1].map((seq) => ({ seq, again: 6_000 })))
        expect(yield* inUnit(store.publishEvents(0, first + 1, 6_000))).toEqual({ count: 0, last: undefined })
      })
    )
  )
})
