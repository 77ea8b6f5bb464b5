import { live } from "@event-service-agent/platform/testing"
import { Transaction } from "@event-service-agent/platform/transaction"
import { TenantId } from "@event-service-agent/schemas/ids"
import { fromMillis } from "@event-service-agent/schemas/time"
import { Effect, type Layer, Option } from "effect"
import { describe, expect, it } from "vitest"
import { KeyId } from "../src/access/scope.ts"
import {
  type ApiKey,
  ApiKeyStore,
  ENDED_KEYS_KEPT_MS,
  LIVE_KEYS_MAX,
  type NoRoom,
  type StoredApiKey
} from "../src/ports/api-key-store.ts"

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
const ADDED = Option.none<NoRoom>()
const refused = (limit: NoRoom["limit"], ...inTheWay: ReadonlyArray<number>) =>
  Option.some<NoRoom>({ limit, inTheWay: inTheWay.map(keyIdOf) })
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
        expect(yield* insert(key, keyOf(2))).toEqual([ADDED, ADDED])
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
      "takes two live keys of a tenant and label, and names them to who would have a third",
      Effect.gen(function* () {
        const ci = (number: number, changes: Partial<StoredApiKey> = {}) => keyOf(number, { label: "ci", ...changes })
        const late = fromMillis(2_000)
        // The older one has the greater id.
        expect(yield* insert(ci(2), ci(1, { createdAt: late, expiresAt: fromMillis(3_000) }))).toEqual([ADDED, ADDED])
        expect(yield* insert(ci(3, { createdAt: late }))).toEqual([refused("label", 2, 1)])
        expect(yield* insert(ci(4, { label: "CI" }), ci(5, { tenantId: "*" }), ci(6, { label: "" }))).toEqual([
          ADDED,
          ADDED,
          ADDED
        ])
        // No label is one, too.
        expect(yield* insert(keyOf(11), keyOf(12), keyOf(13))).toEqual([ADDED, ADDED, refused("label", 11, 12)])
        expect(yield* insert(ci(7, { createdAt: fromMillis(2_999) }))).toEqual([refused("label", 2, 1)])
        expect(yield* insert(ci(8, { createdAt: fromMillis(3_000) }))).toEqual([ADDED])
        yield* revoke(2, 3_000)
        expect(yield* insert(ci(9, { createdAt: fromMillis(3_000) }))).toEqual([ADDED])
      })
    )

    test(
      "takes as many live keys of a tenant as it may have, and more once some are revoked or expired",
      Effect.gen(function* () {
        const numbers = Array.from({ length: LIVE_KEYS_MAX + 1 }, (_, number) => number)
        const labelled = (number: number, changes?: Partial<StoredApiKey>) =>
          keyOf(number, { label: `program ${number >> 1}`, ...changes })
        const keys = numbers.map((number) => labelled(number, number === 0 ? { expiresAt: fromMillis(2_000) } : {}))
        const full = refused("tenant", ...numbers.slice(0, -1))
        expect(yield* insert(...keys)).toEqual([...keys.slice(1).map(() => ADDED), full])
        expect(
          yield* insert(labelled(50, { tenantId: TenantId.make("other") }), labelled(51, { tenantId: "*" }))
        ).toEqual([ADDED, ADDED])
        expect(yield* insert(labelled(60, { createdAt: fromMillis(1_999) }))).toEqual([full])
        // Of both limits the one of the label: who revokes one of these has room.
        expect(yield* insert(keyOf(61, { label: "program 2" }))).toEqual([refused("label", 4, 5)])
        expect(yield* insert(labelled(62, { createdAt: fromMillis(2_000) }))).toEqual([ADDED])
        expect(yield* insert(labelled(64, { createdAt: fromMillis(2_000) }))).toEqual([
          refused("tenant", ...numbers.slice(1, -1), 62)
        ])
        yield* revoke(1, 2_000)
        expect(yield* insert(labelled(66, { createdAt: fromMillis(2_000) }))).toEqual([ADDED])
      })
    )

    test(
      "forgets keys of any tenant that have ended long ago, when a new one comes",
      Effect.gen(function* () {
        const store = yield* ApiKeyStore
        const ends = fromMillis(5_000)
        const [revoked, expired, both, recent, ofOther, lasting] = [
          keyOf(1, { label: "1" }),
          keyOf(2, { label: "2", expiresAt: ends }),
          keyOf(3, { label: "3", expiresAt: ends }),
          keyOf(4, { label: "4", expiresAt: fromMillis(5_001) }),
          keyOf(5, { tenantId: "*", expiresAt: ends }),
          keyOf(6, { label: "6", expiresAt: fromMillis(ENDED_KEYS_KEPT_MS * 2) })
        ]
        yield* insert(revoked, expired, both, recent, ofOther, lasting)
        yield* revoke(1, 5_000)
        // Revoked after it had expired.
        yield* revoke(3, 6_000)
        const ids = Effect.map(store.list(undefined), (keys) => keys.map(({ keyId }) => keyId).sort())
        const all = [1, 2, 3, 4, 5, 6].map(keyIdOf)
        expect(yield* ids).toEqual(all)
        const newKeyAt = (number: number, millis: number) =>
          keyOf(number, { tenantId: TenantId.make("new"), label: String(number), createdAt: fromMillis(millis) })
        yield* insert(newKeyAt(10, 5_000 + ENDED_KEYS_KEPT_MS))
        expect(yield* ids).toEqual([...all, keyIdOf(10)])
        yield* insert(newKeyAt(11, 5_001 + ENDED_KEYS_KEPT_MS))
        expect(yield* ids).toEqual([4, 6, 10, 11].map(keyIdOf))
        expect(yield* store.get(revoked.keyId)).toEqual(Option.none())
        expect(yield* revoke(2, 7_000)).toBe(false)
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
        yield* insert(keyOf(3, { tenantId: "*", label: "3", scopes: ["admin"] }))
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
        const ended = keyOf(3, { label: "ended", revokedAt: fromMillis(1_000) })
        yield* insert(keyOf(1), ended)
        const later = keyOf(2, { createdAt: fromMillis(2_000 + ENDED_KEYS_KEPT_MS) })
        const unit = Effect.andThen(store.insert(later), store.revoke(keyIdOf(1), fromMillis(2_000)))
        yield* Effect.flip(transaction.run(Effect.andThen(unit, Effect.fail("no"))))
        expect(yield* store.list(acme)).toEqual([ended, keyOf(1)].map(shown))
      })
    )
  })
