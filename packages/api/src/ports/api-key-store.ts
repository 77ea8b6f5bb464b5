import type { StorageError } from "@event-service-agent/platform/storage-error"
import { UnitOfWork } from "@event-service-agent/platform/transaction"
import { Context, DateTime, Effect, Layer, Option, Order } from "effect"
import type { KeyId, KeyTenant, Scope } from "../access/scope.ts"

/** Live keys of one tenant: enough to give one to each of its programs, and a second one to change it. */
export const LIVE_KEYS_MAX = 20
/** Keys that one answer lists. */
export const KEYS_LISTED_MAX = 1_000

/** A key, without what would let anyone use it. */
export interface ApiKey {
  readonly keyId: KeyId
  readonly tenantId: KeyTenant
  readonly scopes: ReadonlyArray<Scope>
  readonly label: string | null
  readonly createdAt: DateTime.Utc
  /** `null`: never. */
  readonly expiresAt: DateTime.Utc | null
  readonly revokedAt: DateTime.Utc | null
}

export interface StoredApiKey extends ApiKey {
  /** SHA-256 of the secret. */
  readonly secretHash: Uint8Array
}

export class ApiKeyStore extends Context.Service<
  ApiKeyStore,
  {
    /** Adds a key, unless its tenant has `LIVE_KEYS_MAX` when it is created: then it returns false. */
    readonly insert: (key: StoredApiKey) => Effect.Effect<boolean, StorageError, UnitOfWork>
    readonly get: (keyId: KeyId) => Effect.Effect<Option.Option<StoredApiKey>, StorageError>
    /** The newest first, at most `KEYS_LISTED_MAX`; of one tenant, or of all. Crosses tenants. */
    readonly list: (tenantId: KeyTenant | undefined) => Effect.Effect<ReadonlyArray<ApiKey>, StorageError>
    /** False when there is no such key. One that was revoked before stays as it is. */
    readonly revoke: (keyId: KeyId, at: DateTime.Utc) => Effect.Effect<boolean, StorageError, UnitOfWork>
    /** Whether a key with the scope `admin` is live at a time. */
    readonly hasAdmin: (at: DateTime.Utc) => Effect.Effect<boolean, StorageError>
  }
>()("@event-service-agent/api/ApiKeyStore") {
  static readonly layerMemory = Layer.sync(ApiKeyStore, () => makeMemory())
}

/** Whether the key lets anyone in: from its creation until it expires or is revoked. */
export const isLive = ({ expiresAt, revokedAt }: ApiKey, at: DateTime.Utc): boolean =>
  revokedAt === null && (expiresAt === null || DateTime.isGreaterThan(expiresAt, at))

const byNewest: Order.Order<ApiKey> = Order.flip(
  Order.combine(
    Order.mapInput(DateTime.Order, (key: ApiKey) => key.createdAt),
    Order.mapInput(Order.String, (key: ApiKey) => key.keyId)
  )
)

const makeMemory = (): ApiKeyStore["Service"] => {
  const keys = new Map<string, StoredApiKey>()
  const live = (at: DateTime.Utc) => [...keys.values()].filter((key) => isLive(key, at))
  const put = Effect.fnUntraced(function* (key: StoredApiKey) {
    const unit = yield* UnitOfWork
    const before = keys.get(key.keyId)
    unit.onRollback(() => (before === undefined ? keys.delete(key.keyId) : keys.set(key.keyId, before)))
    keys.set(key.keyId, key)
    return true
  })
  const withoutSecret = ({ secretHash: _, ...key }: StoredApiKey): ApiKey => key

  return {
    insert: (key) =>
      Effect.suspend(() => {
        const others = live(key.createdAt).filter(({ tenantId }) => tenantId === key.tenantId)
        return others.length >= LIVE_KEYS_MAX ? Effect.succeed(false) : put(key)
      }),
    get: (keyId) => Effect.sync(() => Option.fromNullishOr(keys.get(keyId))),
    list: (tenantId) =>
      Effect.sync(() =>
        [...keys.values()]
          .filter((key) => tenantId === undefined || key.tenantId === tenantId)
          .sort(byNewest)
          .slice(0, KEYS_LISTED_MAX)
          .map(withoutSecret)
      ),
    revoke: (keyId, at) =>
      Effect.suspend(() => {
        const key = keys.get(keyId)
        if (key === undefined) return Effect.succeed(false)
        return put({ ...key, revokedAt: key.revokedAt ?? at })
      }),
    hasAdmin: (at) => Effect.sync(() => live(at).some(({ scopes }) => scopes.includes("admin")))
  }
}
