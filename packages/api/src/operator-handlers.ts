import { EventBusPort } from "@event-service-agent/platform/event-bus"
import { Outbox } from "@event-service-agent/platform/outbox"
import { Stopping } from "@event-service-agent/platform/stopping"
import { logRefusal, type StorageError } from "@event-service-agent/platform/storage-error"
import { Transaction } from "@event-service-agent/platform/transaction"
import type { Consumer } from "@event-service-agent/schemas/envelope"
import type { ServiceCallKey } from "@event-service-agent/schemas/ids"
import { timeOrNull } from "@event-service-agent/schemas/time"
import { Effect, Option, Schema } from "effect"
import { HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { Authenticator, Caller } from "./access/authenticator.ts"
import { createKey, revokeKey } from "./access/manage-keys.ts"
import { Api, PAGE_MAX } from "./contract.ts"
import { ApiKeyStore } from "./ports/api-key-store.ts"
import { DeadLetterNotFound, NoBroker, NotReady } from "./problem.ts"
import { readJson } from "./read-json.ts"
import { NewKey, NewKeyBody, RepublishBody } from "./representations.ts"
import { decode, problemOf, withServices } from "./serving.ts"
import { troubleOf } from "./storage-trouble.ts"

export const layerAdmin = HttpApiBuilder.group(Api, "admin", (handlers) =>
  Effect.map(withServices<EventBusPort | Outbox>(), (served) =>
    handlers
      .handleRaw(
        "republish",
        Effect.fnUntraced(function* ({ request }) {
          const bus = yield* EventBusPort
          const { since } = yield* decodeRepublish(yield* readJson(request))
          const count = yield* bus.republish(since)
          if (Option.isNone(count)) {
            const detail = "There is nobody to publish to: NATS_URL is not set"
            return yield* new NoBroker({ detail })
          }
          return { events: count.value }
        }, served)
      )
      .handleAll({
        deadLetters: Effect.fnUntraced(function* ({ query }) {
          const outbox = yield* Outbox
          const letters = yield* outbox.deadLetters(query.limit ?? PAGE_MAX)
          return { items: letters.map((letter) => ({ ...letter.key, ...problemOf(letter) })) }
        }, served),
        replay: Effect.fnUntraced(function* ({ params }) {
          const bus = yield* EventBusPort
          yield* onLetter(params, bus.replay)
        }, served),
        discard: Effect.fnUntraced(function* ({ params }) {
          const bus = yield* EventBusPort
          yield* onLetter(params, bus.discard)
        }, served)
      })
  )
)

export const layerAccess = HttpApiBuilder.group(Api, "access", (handlers) =>
  Effect.map(withServices<ApiKeyStore | Authenticator | Transaction>(), (served) =>
    handlers
      .handle("whoami", () =>
        Effect.map(Caller, ({ keyId, tenantId, scopes }) => ({
          auth: keyId === null ? ("off" as const) : ("on" as const),
          keyId,
          tenantId,
          scopes
        }))
      )
      .handleRaw(
        "createKey",
        Effect.fnUntraced(function* ({ request }) {
          const created = yield* createKey(yield* decodeNewKey(yield* readJson(request)))
          const body = yield* Effect.orDie(encodeNewKey(created))
          return HttpServerResponse.jsonUnsafe(body, { status: 201, headers: { "cache-control": "no-store" } })
        }, served)
      )
      .handle(
        "keys",
        Effect.fnUntraced(function* ({ query }) {
          const store = yield* ApiKeyStore
          const { lastUsed } = yield* Authenticator
          const keys = yield* store.list(query.tenant)
          return { items: keys.map((key) => ({ ...key, lastUsedAt: timeOrNull(lastUsed(key.keyId)) })) }
        }, served)
      )
      .handle(
        "revokeKey",
        Effect.fnUntraced(function* ({ params }) {
          yield* revokeKey(params.keyId)
        }, served)
      )
  )
)

export const layerHealth = HttpApiBuilder.group(Api, "health", (handlers) =>
  Effect.map(withServices<EventBusPort | Outbox | Stopping | Transaction>(), (served) =>
    handlers.handleAll({
      live: () => Effect.succeed({ status: "ok" as const }),
      ready: Effect.fnUntraced(
        function* () {
          const { begun } = yield* Stopping
          if (begun.isOpen()) {
            const detail = "The agent is stopping: it waits for calls under way, and takes no new ones"
            return yield* new NotReady({ detail, checks: { calls: "draining" } })
          }
          const outbox = yield* Outbox
          const transaction = yield* Transaction
          const refusal = yield* transaction.refusal
          if (Option.isSome(refusal)) {
            const what = refusal.value.isUnsynced ? "" : "The storage refuses to write, reading goes on. "
            return yield* new NotReady({ detail: what + troubleOf(refusal.value), checks: { storage: "failed" } })
          }
          yield* outbox.deadLetters(1)
          const bus = yield* EventBusPort
          const parts = yield* bus.health
          const troubles = parts.flatMap(({ trouble }) => (trouble === undefined ? [] : [trouble]))
          const checks = {
            storage: "ok" as const,
            bus: "ok" as const,
            ...Object.fromEntries(parts.map(({ part, trouble }) => [part, trouble === undefined ? "ok" : "degraded"]))
          }
          if (troubles.length === 0) return { status: "ok" as const, checks }
          return { status: "degraded" as const, checks, detail: `Calls are accepted and kept. ${troubles.join(". ")}` }
        },
        Effect.catchTag("StorageError", (error) =>
          logRefusal("not ready, since it cannot be read", error).pipe(
            Effect.andThen(
              new NotReady({ detail: `The storage cannot be read. ${troubleOf(error)}`, checks: { storage: "failed" } })
            )
          )
        ),
        served
      )
    })
  )
)

const decodeRepublish = decode(RepublishBody)
const decodeNewKey = decode(NewKeyBody)
const encodeNewKey = Schema.encodeEffect(NewKey)

const onLetter = Effect.fnUntraced(function* (
  { consumer, seq }: { readonly consumer: Consumer; readonly seq: number },
  change: (consumer: Consumer, seq: number, key: ServiceCallKey) => Effect.Effect<boolean, StorageError>
) {
  const outbox = yield* Outbox
  const letter = yield* outbox.deadLetter(consumer, seq)
  const isChanged = Option.isSome(letter) && (yield* change(consumer, seq, letter.value.key))
  if (!isChanged) return yield* new DeadLetterNotFound()
})
