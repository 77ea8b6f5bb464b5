import { live } from "@event-service-agent/platform/testing"
import { Transaction } from "@event-service-agent/platform/transaction"
import { TenantId } from "@event-service-agent/schemas/ids"
import { fromMillis } from "@event-service-agent/schemas/time"
import { Effect, type Layer, Option } from "effect"
import { describe, expect, it } from "vitest"
import { KeyId } from "../src/access/scope.ts"
import { type ApiKey, ApiKeyStore, LIVE_KEYS_MAX, type StoredApiKey } from "../src/ports/api-key-store.ts"

type Ports = ApiKeyStore | Transaction

const acme = TenantId.make("acme")
const keyIdOf = (number: number) => KeyId.make(`key${String(number).padStart(9, "0")}`)
const keyOf = (number: number, changes?: Partial<StoredApiKey>): StoredApiKey => ({
  keyId: keyIdOf(number),
  tenantId: acme,
  scopes: ["read", "submit"],
  label: null,
  createdAt: fromMillis(1_000),
  expiresAt: null,
  revokedAt: null,
  secretHash: new Uint8Array(32).fill(number),
  ...changes
})
const shown = ({ secretHash: _, ...key }: StoredApiKey): ApiKey => key

/** What every store of keys promises. Each test builds the layer anew, empty. */
export const apiKeyStoreContract = (name: string, layer: Layer.Layer<Ports, unknown>) =>
  describe(`ApiKeyStore, ${name}`, () => {
    const test = <A, E>(sentence: string, effect: Effect.Effect<A, E, Ports>) =>
      it(sentence, live(Effect.provide(effect, layer)))
    const insert = Effect.fnUntraced(function* (...keys: ReadonlyArray<StoredApiKey>) {
      const store = yield* ApiKeyStore
      const transaction = yield* Transaction
      return yield* transaction.run(Effect.forEach(keys, store.insert))
    })
    const revoke = Effect.fnUntraced(function* (number: number, at: number) {
      const store = yield* ApiKeyStore
      const transaction = yield* Transaction
      return yield* transaction.run(store.revoke(keyIdOf(number), fromMillis(at)))
    })

    test(
      "gives a key back as it was stored",
      Effect.gen(function* () {
        const store = yield* ApiKeyStore
        const key = keyOf(1, { label: "ci", expiresAt: fromMillis(5_000), tenantId: "*", scopes: ["admin"] })
        expect(yield* insert(key, keyOf(2))).toEqual([true, true])
        const found = Option.getOrThrow(yield* store.get(key.keyId))
        expect(shown(found)).toEqual(shown(key))
        expect([...found.secretHash]).toEqual([...key.secretHash])
        expect(yield* store.get(keyIdOf(3))).toEqual(Option.none())
      })
    )

    test(
      "lists the newest first, of one tenant or of all, and never a hash",
      Effect.gen(function* () {
        const store = yield* ApiKeyStore
        const [old, later, other] = [
          keyOf(1),
          keyOf(2, { createdAt: fromMillis(2_000) }),
          keyOf(3, { tenantId: "*", createdAt: fromMillis(3_000) })
        ]
        yield* insert(old, later, other)
        expect(yield* store.list(undefined)).toEqual([other, later, old].map(shown))
        expect(yield* store.list(acme)).toEqual([later, old].map(shown))
        expect(yield* store.list("*")).toEqual([shown(other)])
        expect(yield* store.list(TenantId.make("nobody"))).toEqual([])
      })
    )

    test(
      "revokes a key once: the time of the first revocation stays",
      Effect.gen(function* () {
        const store = yield* ApiKeyStore
        yield* insert(keyOf(1), keyOf(2))
        expect(yield* revoke(9, 4_000)).toBe(false)
        expect(yield* revoke(1, 4_000)).toBe(true)
        expect(yield* revoke(1, 5_000)).toBe(true)
        const [one, two] = [yield* store.get(keyIdOf(1)), yield* store.get(keyIdOf(2))]
        expect(Option.getOrThrow(one).revokedAt).toEqual(fromMillis(4_000))
        expect(Option.getOrThrow(two).revokedAt).toBe(null)
      })
    )

    test(
      "takes as many live keys of a tenant as it may have, and more once some are revoked or expired",
      Effect.gen(function* () {
        const keys = Array.from({ length: LIVE_KEYS_MAX + 1 }, (_, number) =>
          keyOf(number, number === 0 ? { expiresAt: fromMillis(2_000) } : {})
        )
        expect(yield* insert(...keys)).toEqual([...keys.slice(1).map(() => true), false])
        expect(yield* insert(keyOf(50, { tenantId: TenantId.make("other") }), keyOf(51, { tenantId: "*" }))).toEqual([
          true,
          true
        ])
        expect(yield* insert(keyOf(60, { createdAt: fromMillis(1_999) }))).toEqual([false])
        expect(yield* insert(keyOf(61, { createdAt: fromMillis(2_000) }))).toEqual([true])
        expect(yield* insert(keyOf(62, { createdAt: fromMillis(2_000) }))).toEqual([false])
        yield* revoke(1, 2_000)
        expect(yield* insert(keyOf(63, { createdAt: fromMillis(2_000) }))).toEqual([true])
      })
    )

    test(
      "knows whether anyone may administer at a time",
      Effect.gen(function* () {
        const store = yield* ApiKeyStore
        yield* insert(keyOf(1, { tenantId: "*" }))
        expect(yield* store.hasAdmin(fromMillis(1_000))).toBe(false)
        yield* insert(keyOf(2, { tenantId: "*", scopes: ["read", "admin"], expiresAt: fromMillis(2_000) }))
        expect(yield* store.hasAdmin(fromMillis(1_999))).toBe(true)
        expect(yield* store.hasAdmin(fromMillis(2_000))).toBe(false)
        yield* insert(keyOf(3, { tenantId: "*", scopes: ["admin"] }))
        expect(yield* store.hasAdmin(fromMillis(2_000))).toBe(true)
        yield* revoke(3, 3_000)
        expect(yield* store.hasAdmin(fromMillis(3_000))).toBe(false)
      })
    )

    test(
      "keeps nothing of a unit that fails",
      Effect.gen(function* () {
        const store = yield* ApiKeyStore
        const transaction = yield* Transaction
        yield* insert(keyOf(1))
        const unit = Effect.andThen(store.insert(keyOf(2)), store.revoke(keyIdOf(1), fromMillis(2_000)))
        yield* Effect.flip(transaction.run(Effect.andThen(unit, Effect.fail("no"))))
        expect(yield* store.list(acme)).toEqual([shown(keyOf(1))])
      })
    )
  })
