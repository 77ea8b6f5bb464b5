import type { KeyId, KeyTenant, Scope } from "@event-service-agent/api/access/scope"
import {
  type ApiKey,
  ApiKeyStore,
  ENDED_KEYS_KEPT_MS,
  KEYS_LISTED_MAX,
  noRoomFor,
  type StoredApiKey
} from "@event-service-agent/api/ports/api-key-store"
import { fromMillis, timeOrNull, toMillis } from "@event-service-agent/schemas/time"
import { type DateTime, Effect, Layer, Option } from "effect"
import { ReadConnection, WriteConnection } from "./database.ts"

interface KeyRow {
  readonly key_id: KeyId
  readonly tenant_id: KeyTenant
  readonly scopes: string
  readonly label: string | null
  readonly secret_hash: Uint8Array
  readonly created_at: number
  readonly expires_at: number | null
  readonly revoked_at: number | null
}

const LIVE = "revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?)"
/** As the index has it: NULL as long as the key is live. */
const ENDED_AT = "coalesce(min(revoked_at, expires_at), revoked_at, expires_at)"

export const layer = Layer.effect(
  ApiKeyStore,
  Effect.gen(function* () {
    const writer = yield* WriteConnection
    const reader = yield* ReadConnection
    const insert = writer.prepare(
      `INSERT INTO api_keys (key_id, tenant_id, scopes, label, secret_hash, created_at, expires_at, revoked_at)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?)`
    )
    const liveOf = writer.prepare<Pick<KeyRow, "key_id" | "label">>(
      `SELECT key_id, label FROM api_keys WHERE tenant_id = ? AND ${LIVE} ORDER BY created_at, key_id`
    )
    const deleteEnded = writer.prepare(`DELETE FROM api_keys WHERE ${ENDED_AT} < ?`)
    const revoke = writer.prepare("UPDATE api_keys SET revoked_at = coalesce(revoked_at, ?) WHERE key_id = ?")
    const get = reader.prepare<KeyRow>("SELECT * FROM api_keys WHERE key_id = ?")
    const newest = `ORDER BY created_at DESC, key_id DESC LIMIT ${KEYS_LISTED_MAX}`
    const listOfOne = reader.prepare<KeyRow>(`SELECT * FROM api_keys WHERE tenant_id = ? ${newest}`)
    const listOfAll = reader.prepare<KeyRow>(`SELECT * FROM api_keys ${newest}`)
    const findAdmin = reader.prepare(
      `SELECT 1 FROM api_keys WHERE ${LIVE} AND EXISTS (SELECT 1 FROM json_each(scopes) WHERE value = 'admin') LIMIT 1`
    )

    return ApiKeyStore.of({
      insert: Effect.fnUntraced(function* (key) {
        const createdAt = toMillis(key.createdAt)
        yield* deleteEnded.run(createdAt - ENDED_KEYS_KEPT_MS)
        const live = yield* liveOf.all(key.tenantId, createdAt)
        const noRoom = noRoomFor(
          key.label,
          live.map(({ key_id, label }) => ({ keyId: key_id, label }))
        )
        if (Option.isSome(noRoom)) return noRoom
        yield* insert.run(
          key.keyId,
          key.tenantId,
          JSON.stringify(key.scopes),
          key.label,
          key.secretHash,
          createdAt,
          millisOrNull(key.expiresAt),
          millisOrNull(key.revokedAt)
        )
        return noRoom
      }),
      get: (keyId) =>
        Effect.mapEager(get.first(keyId), (row) => (row === undefined ? Option.none() : Option.some(toStored(row)))),
      list: (tenantId) =>
        Effect.mapEager(tenantId === undefined ? listOfAll.all() : listOfOne.all(tenantId), (rows) => rows.map(toKey)),
      revoke: (keyId, at) => Effect.mapEager(revoke.run(toMillis(at), keyId), ({ changes }) => changes === 1),
      hasAdmin: (at) => Effect.mapEager(findAdmin.first(toMillis(at)), (row) => row !== undefined)
    })
  })
)

const millisOrNull = (time: DateTime.Utc | null): number | null => (time === null ? null : toMillis(time))

const toKey = (row: KeyRow): ApiKey => {
  const scopes: ReadonlyArray<Scope> = JSON.parse(row.scopes)
  return {
    keyId: row.key_id,
    tenantId: row.tenant_id,
    scopes,
    label: row.label,
    createdAt: fromMillis(row.created_at),
    expiresAt: timeOrNull(row.expires_at),
    revokedAt: timeOrNull(row.revoked_at)
  }
}

const toStored = (row: KeyRow): StoredApiKey => ({ ...toKey(row), secretHash: row.secret_hash })
