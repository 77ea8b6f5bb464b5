import { timingSafeEqual } from "node:crypto"
import { live, onTestClock, settle } from "@event-service-agent/platform/testing"
import { Transaction } from "@event-service-agent/platform/transaction"
import { TenantId } from "@event-service-agent/schemas/ids"
import { fromMillis } from "@event-service-agent/schemas/time"
import { DateTime, Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { bearerOf, formatKey, newKey, parseKey } from "../../src/access/api-key.ts"
import { makeAuthenticator, REMEMBERED_MAX } from "../../src/access/authenticator.ts"
import { ApiKeyStore, type StoredApiKey } from "../../src/ports/api-key-store.ts"
import { keyWith } from "./keyed-api.ts"

const layer = Layer.merge(ApiKeyStore.layerMemory, Transaction.layerMemory)

const insert = Effect.fnUntraced(function* (...keys: ReadonlyArray<StoredApiKey>) {
  const store = yield* ApiKeyStore
  const transaction = yield* Transaction
  yield* transaction.run(Effect.forEach(keys, store.insert))
})
const revoke = Effect.fnUntraced(function* ({ keyId }: StoredApiKey) {
  const store = yield* ApiKeyStore
  const transaction = yield* Transaction
  yield* transaction.run(store.revoke(keyId, yield* DateTime.now))
})

/** One whose store counts how often it is asked for a key, and may do something before it answers. */
const watchedAuthenticator = Effect.gen(function* () {
  const store = yield* ApiKeyStore
  const watched: { reads: number; after: Effect.Effect<void> } = { reads: 0, after: Effect.void }
  const get: typeof store.get = (keyId) =>
    Effect.suspend(() => {
      watched.reads++
      return Effect.tap(store.get(keyId), () => watched.after)
    })
  const authenticator = yield* Effect.provideService(
    makeAuthenticator(),
    ApiKeyStore,
    ApiKeyStore.of({ ...store, get })
  )
  return { watched, authenticator }
})

describe("the text of a key", () => {
  it("is read back as it was written, and never the same", () => {
    const keys = Array.from({ length: 200 }, newKey)
    for (const key of keys) {
      expect(formatKey(key)).toMatch(/^esa_[0-9A-Za-z]{12}_[0-9A-Za-z]{43}$/)
      expect(parseKey(formatKey(key))).toEqual(key)
    }
    expect(new Set(keys.map(({ keyId }) => keyId)).size).toBe(keys.length)
    expect(new Set(keys.map(({ secret }) => secret)).size).toBe(keys.length)
    // All places of a secret vary, the first one as far as 32 bytes reach.
    const places = Array.from({ length: 43 }, (_, place) => new Set(keys.map(({ secret }) => secret[place])).size)
    expect(Math.min(...places.slice(1))).toBeGreaterThan(30)
  })

  it("is nothing else", () => {
    const text = formatKey(newKey())
    fc.assert(
      fc.property(fc.nat(text.length - 1), fc.constantFrom("", "-", "_", "é", " ", "\n"), (place, other) => {
        const changed = text.slice(0, place) + other + text.slice(place + 1)
        expect(changed === text || parseKey(changed) === undefined).toBe(true)
      })
    )
    for (const header of [undefined, "", "Bearer", "Bearer ", `Basic ${text}`, `Bearer ${text} x`, ` Bearer ${text}`]) {
      expect(bearerOf(header)).toBe(undefined)
    }
  })
})

describe("the authenticator", () => {
  it(
    "compares hashes, in constant time, whether it knows the id or not",
    live(
      Effect.gen(function* () {
        const compared: Array<readonly [number, number]> = []
        const authenticator = yield* makeAuthenticator((a, b) => {
          compared.push([a.byteLength, b.byteLength])
          return timingSafeEqual(a, b)
        })
        const { stored, text } = keyWith({})
        yield* insert(stored)
        const wrong = text.slice(0, -43) + keyWith({}).text.slice(-43)
        expect(yield* authenticator.authenticate(`Bearer ${keyWith({}).text}`)).toBe(undefined)
        expect(yield* authenticator.authenticate(`Bearer ${wrong}`)).toBe(undefined)
        expect(yield* authenticator.authenticate(`Bearer ${text}`)).toMatchObject({ keyId: stored.keyId })
        expect(compared).toEqual([
          [32, 32],
          [32, 32],
          [32, 32]
        ])
      }).pipe(Effect.provide(layer))
    )
  )

  it(
    "takes no key whose secret hashes to nothing, not even where nothing is stored",
    live(
      Effect.gen(function* () {
        // The comparison would say yes.
        const authenticator = yield* makeAuthenticator(() => true)
        expect(yield* authenticator.authenticate(`Bearer ${keyWith({}).text}`)).toBe(undefined)
      }).pipe(Effect.provide(layer))
    )
  )

  it(
    "asks the store once for a key that is used often, and again for one that is wrong",
    live(
      Effect.gen(function* () {
        const { watched, authenticator } = yield* watchedAuthenticator
        const { stored, text } = keyWith({})
        yield* insert(stored)
        for (let count = 0; count < 5; count++) {
          expect(yield* authenticator.authenticate(`Bearer ${text}`)).toMatchObject({ scopes: stored.scopes })
        }
        expect(watched.reads).toBe(1)
        const unknown = `Bearer ${keyWith({}).text}`
        yield* authenticator.authenticate(unknown)
        yield* authenticator.authenticate(unknown)
        expect(watched.reads).toBe(3)
      }).pipe(Effect.provide(layer))
    )
  )

  it(
    "remembers so many keys and no more: then it forgets the one that it has known longest",
    live(
      Effect.gen(function* () {
        const { watched, authenticator } = yield* watchedAuthenticator
        const keys = Array.from({ length: REMEMBERED_MAX + 1 }, (_, number) =>
          keyWith({ tenantId: TenantId.make(`tenant-${number}`) })
        )
        yield* insert(...keys.map(({ stored }) => stored))
        const readsFor = Effect.fnUntraced(function* (some: typeof keys) {
          const before = watched.reads
          for (const { text } of some) expect(yield* authenticator.authenticate(`Bearer ${text}`)).toBeDefined()
          return watched.reads - before
        })
        expect(yield* readsFor(keys)).toBe(keys.length)
        expect(yield* readsFor(keys.slice(1))).toBe(0)
        expect(yield* readsFor(keys.slice(0, 1))).toBe(1)
      }).pipe(Effect.provide(layer))
    )
  )

  it(
    "lets a key in until the millisecond in which it expires, remembered or not",
    onTestClock(
      Effect.gen(function* () {
        const authenticator = yield* makeAuthenticator()
        const { stored, text } = keyWith({ expiresAt: fromMillis(10_000) })
        const other = keyWith({ expiresAt: fromMillis(10_000) })
        yield* insert(stored, other.stored)
        yield* TestClock.setTime(9_999)
        expect(yield* authenticator.authenticate(`Bearer ${text}`)).toBeDefined()
        yield* TestClock.setTime(10_000)
        expect(yield* authenticator.authenticate(`Bearer ${text}`)).toBe(undefined)
        expect(yield* authenticator.authenticate(`Bearer ${other.text}`)).toBe(undefined)
      }).pipe(Effect.provide(layer))
    )
  )

  it(
    "does not remember a key that was revoked while it was read",
    live(
      Effect.gen(function* () {
        const { watched, authenticator } = yield* watchedAuthenticator
        const { stored, text } = keyWith({})
        yield* insert(stored)
        const context = yield* Effect.context<ApiKeyStore | Transaction>()
        watched.after = revoke(stored).pipe(
          Effect.andThen(Effect.sync(() => authenticator.forget(stored.keyId))),
          Effect.provideContext(context),
          Effect.orDie
        )
        // It was live when it was read.
        expect(yield* authenticator.authenticate(`Bearer ${text}`)).toBeDefined()
        watched.after = Effect.void
        expect(yield* authenticator.authenticate(`Bearer ${text}`)).toBe(undefined)
      }).pipe(Effect.provide(layer))
    )
  )

  it(
    "tells of the end of a key within two seconds, whether it expires or is revoked",
    onTestClock(
      Effect.gen(function* () {
        const authenticator = yield* makeAuthenticator()
        const [lasting, expiring, revoked] = [keyWith({}), keyWith({ expiresAt: fromMillis(60_000) }), keyWith({})]
        yield* insert(lasting.stored, expiring.stored, revoked.stored)
        const ends = yield* Effect.forEach([lasting, expiring, revoked], ({ stored }) =>
          Effect.forkChild(authenticator.ended(stored.keyId))
        )
        const ended = () => ends.map((fiber) => fiber.pollUnsafe() !== undefined)
        yield* TestClock.adjust("59 seconds")
        yield* settle
        expect(ended()).toEqual([false, false, false])
        yield* revoke(revoked.stored)
        yield* TestClock.adjust("2 seconds")
        yield* settle
        expect(ended()).toEqual([false, true, true])
        yield* Effect.forEach(ends, Fiber.interrupt)
      }).pipe(Effect.provide(layer))
    )
  )
})
