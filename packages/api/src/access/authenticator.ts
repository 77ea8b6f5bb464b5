import { createHash, timingSafeEqual } from "node:crypto"
import { logRetry, type StorageError } from "@event-service-agent/platform/storage-error"
import { toMillis } from "@event-service-agent/schemas/time"
import { Clock, Context, DateTime, Effect, Layer, Option } from "effect"
import { ApiKeyStore, isLive, type StoredApiKey } from "../ports/api-key-store.ts"
import { bearerOf, hashOf, parseKey } from "./api-key.ts"
import { ALL_TENANTS, type KeyId, type KeyTenant, SCOPES, type Scope } from "./scope.ts"

/** Keys that are remembered: those of the busiest programs. */
export const REMEMBERED_MAX = 1_000
/** Between two looks whether a key that holds a stream open is still live. */
const LOOK_MS = 1_000

/** Who asks, and what they may. */
export class Caller extends Context.Service<
  Caller,
  {
    /** `null` where no keys are asked for. */
    readonly keyId: KeyId | null
    readonly tenantId: KeyTenant
    readonly scopes: ReadonlyArray<Scope>
  }
>()("@event-service-agent/api/Caller") {}

/** Everyone, where no keys are asked for. */
export const ANYONE: Caller["Service"] = { keyId: null, tenantId: ALL_TENANTS, scopes: SCOPES }
/** Who asks where keys are asked for, on the routes that are open all the same. */
export const NOBODY: Caller["Service"] = { keyId: null, tenantId: ALL_TENANTS, scopes: [] }

/** Tells by its key who asks. */
export class Authenticator extends Context.Service<
  Authenticator,
  {
    /** @param authorization the header of this name; `undefined` when it holds no key that is live */
    readonly authenticate: (
      authorization: string | undefined
    ) => Effect.Effect<Caller["Service"] | undefined, StorageError>
    /** When the key was last used since the start, in milliseconds since 1970; `undefined` when not. */
    readonly lastUsed: (keyId: KeyId) => number | undefined
    /** To be called once a key is revoked: it is not remembered from then on. */
    readonly forget: (keyId: KeyId) => void
    /** For a key whose revocation cannot be stored: it opens nothing as long as the process runs. */
    readonly shut: (keyId: KeyId) => void
    /** Returns a moment after the key has expired or was revoked. */
    readonly ended: (keyId: KeyId) => Effect.Effect<void>
  }
>()("@event-service-agent/api/Authenticator") {
  static readonly layer = Layer.effect(
    Authenticator,
    Effect.suspend(() => makeAuthenticator())
  )
}

interface Remembered {
  readonly keyId: KeyId
  readonly caller: Caller["Service"]
  /** Milliseconds since 1970. */
  readonly expiresAt: number
}

/** What an unknown key is compared with, so that it takes as long as a wrong secret. */
const NO_HASH = new Uint8Array(32)

/** @param isEqual compares in the same time whatever differs; another one for tests */
export const makeAuthenticator = Effect.fnUntraced(function* (
  isEqual: (a: Uint8Array, b: Uint8Array) => boolean = timingSafeEqual
) {
  const store = yield* ApiKeyStore
  /** By the hash of the whole key, the one that was verified first at the front. */
  const remembered = new Map<string, Remembered>()
  /** Of keys that are in the store, so no more than these. */
  const lastUsed = new Map<KeyId, number>()
  /** Keys in the store that are to open nothing, whatever is stored of them. */
  const shut = new Set<KeyId>()
  /** Grows with each revocation: what was read before one is not remembered after it. */
  let revocations = 0

  const remember = (name: string, key: StoredApiKey, caller: Caller["Service"]) => {
    const [oldest] = remembered.size < REMEMBERED_MAX ? [] : remembered.keys()
    if (oldest !== undefined) remembered.delete(oldest)
    remembered.set(name, {
      keyId: key.keyId,
      caller,
      expiresAt: key.expiresAt === null ? Number.POSITIVE_INFINITY : toMillis(key.expiresAt)
    })
  }

  const verify = Effect.fnUntraced(function* (name: string, keyId: KeyId, secret: string) {
    const revocationsBefore = revocations
    const key = Option.getOrUndefined(yield* store.get(keyId))
    const isSecret = isEqual(hashOf(secret), key?.secretHash ?? NO_HASH)
    const now = yield* DateTime.now
    if (key === undefined || !isSecret || !isLive(key, now) || shut.has(keyId)) return undefined
    lastUsed.set(keyId, toMillis(now))
    const caller = { keyId, tenantId: key.tenantId, scopes: key.scopes }
    if (revocations === revocationsBefore) remember(name, key, caller)
    return caller
  })

  const forget = (keyId: KeyId) => {
    revocations++
    lastUsed.delete(keyId)
    for (const [name, { caller }] of remembered) if (caller.keyId === keyId) remembered.delete(name)
  }

  return Authenticator.of({
    authenticate: (authorization) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        const text = bearerOf(authorization)
        if (text === undefined) return Effect.undefined
        const name = createHash("sha256").update(text).digest("base64")
        const known = remembered.get(name)
        if (known !== undefined && known.expiresAt > now) {
          lastUsed.set(known.keyId, now)
          return Effect.succeed(known.caller)
        }
        remembered.delete(name)
        const key = parseKey(text)
        return key === undefined ? Effect.undefined : verify(name, key.keyId, key.secret)
      }),
    lastUsed: (keyId) => lastUsed.get(keyId),
    forget,
    shut: (keyId) => {
      shut.add(keyId)
      forget(keyId)
    },
    ended: Effect.fnUntraced(function* (keyId) {
      while (true) {
        yield* Effect.sleep(LOOK_MS)
        const isOver = yield* store.get(keyId).pipe(
          Effect.flatMap(
            Option.match({
              onNone: () => Effect.succeed(true),
              onSome: (key) => Effect.map(DateTime.now, (now) => !isLive(key, now) || shut.has(keyId))
            })
          ),
          Effect.catchCause((cause) =>
            Effect.as(logRetry("whether a key is live will be looked up again", cause), false)
          )
        )
        if (isOver) return
      }
    })
  })
})
