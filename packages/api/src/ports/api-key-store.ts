import type { StorageError } from "@event-service-agent/platform/storage-error"
import { UnitOfWork } from "@event-service-agent/platform/transaction"
import { toMillis } from "@event-service-agent/schemas/time"
import { Context, DateTime, Effect, Layer, Option, Order } from "effect"
import type { KeyId, KeyTenant, Scope } from "../access/scope.ts"

/** Live keys of one tenant and label, which names the program that has them: the old one, and the new one meanwhile. */
export const LIVE_KEYS_OF_LABEL_MAX = 2
/** Live keys of one tenant. */
export const LIVE_KEYS_MAX = 20
/** Milliseconds for which keys that were revoked or have expired are kept for people to look at: 90 days. */
export const ENDED_KEYS_KEPT_MS = 7_776_000_000
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

/** Why there is no room for a key: which limit is reached, and the live keys that are in the way, the oldest first. */
export interface NoRoom {
  readonly limit: "label" | "tenant"
  readonly inTheWay: ReadonlyArray<KeyId>
}

export class ApiKeyStore extends Context.Service<
  ApiKeyStore,
  {
    /**
     * Adds a key, unless its tenant has as many live ones when it is created, of the same label or in all: then it says
     * which limit that is. It first deletes the keys of all tenants that have ended `ENDED_KEYS_KEPT_MS` before: only
     * here the table grows, and only operators get here, so this is where it is kept small.
     */
    readonly insert: (key: StoredApiKey) => Effect.Effect<Option.Option<NoRoom>, StorageError, UnitOfWork>
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

/**
 * Why a key of this label has no room beside the live ones of its tenant, if so. No label is one, too. Of both limits
 * the one of the label is told, which leaves fewer keys to choose from.
 *
 * @param live the oldest first
 */
export const noRoomFor = (
  label: string | null,
  live: ReadonlyArray<Pick<ApiKey, "keyId" | "label">>
): Option.Option<NoRoom> => {
  const ofLabel = live.filter((key) => key.label === label)
  const idsOf = (keys: typeof live) => keys.map(({ keyId }) => keyId)
  if (ofLabel.length >= LIVE_KEYS_OF_LABEL_MAX) return Option.some({ limit: "label", inTheWay: idsOf(ofLabel) })
  return live.length >= LIVE_KEYS_MAX ? Option.some({ limit: "tenant", inTheWay: idsOf(live) }) : Option.none()
}

const byNewest: Order.Order<ApiKey> = Order.flip(
  Order.combine(
    Order.mapInput(DateTime.Order, (key: ApiKey) => key.createdAt),
    Order.mapInput(Order.String, (key: ApiKey) => key.keyId)
  )
)

/** When the key was revoked or has expired, whichever was first, in milliseconds; for ever away when neither. */
const endOf = ({ expiresAt, revokedAt }: ApiKey): number =>
  Math.min(...[expiresAt, revokedAt].map((at) => (at === null ? Number.POSITIVE_INFINITY : toMillis(at))))

const makeMemory = (): ApiKeyStore["Service"] => {
  const keys = new Map<string, StoredApiKey>()
  const live = (at: DateTime.Utc) => [...keys.values()].filter((key) => isLive(key, at))
  const put = Effect.fnUntraced(function* (key: StoredApiKey) {
    const unit = yield* UnitOfWork
    const before = keys.get(key.keyId)
    unit.onRollback(() => (before === undefined ? keys.delete(key.keyId) : keys.set(key.keyId, before)))
    keys.set(key.keyId, key)
  })
  const remove = Effect.fnUntraced(function* (key: StoredApiKey) {
    const unit = yield* UnitOfWork
    unit.onRollback(() => keys.set(key.keyId, key))
    keys.delete(key.keyId)
  })
  const withoutSecret = ({ secretHash: _, ...key }: StoredApiKey): ApiKey => key

  return {
    insert: Effect.fnUntraced(function* (key) {
      const endedBefore = toMillis(key.createdAt) - ENDED_KEYS_KEPT_MS
      yield* Effect.forEach(
        [...keys.values()].filter((other) => endOf(other) < endedBefore),
        remove
      )
      const others = live(key.createdAt).filter(({ tenantId }) => tenantId === key.tenantId)
      const noRoom = noRoomFor(key.label, others.sort(Order.flip(byNewest)))
      if (Option.isNone(noRoom)) yield* put(key)
      return noRoom
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
        return Effect.as(put({ ...key, revokedAt: key.revokedAt ?? at }), true)
      }),
    hasAdmin: (at) => Effect.sync(() => live(at).some(({ scopes }) => scopes.includes("admin")))
  }
}
