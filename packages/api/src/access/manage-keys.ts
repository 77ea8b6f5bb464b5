import { Transaction } from "@event-service-agent/platform/transaction"
import { DateTime, Effect } from "effect"
import { type ApiKey, ApiKeyStore, LIVE_KEYS_MAX } from "../ports/api-key-store.ts"
import { type FieldError, KeyNotFound, TooManyKeys } from "../problem.ts"
import { invalid } from "../read-json.ts"
import type { NewKeyBody } from "../representations.ts"
import { formatKey, hashOf, newKey } from "./api-key.ts"
import { Authenticator } from "./authenticator.ts"
import { ALL_TENANTS, type KeyId } from "./scope.ts"

/** Makes a key. It fails with `InvalidRequest`, `TooManyKeys` or `StorageError`. */
export const createKey = Effect.fn("Api.createKey")(function* (body: typeof NewKeyBody.Type) {
  const store = yield* ApiKeyStore
  const transaction = yield* Transaction
  const createdAt = yield* DateTime.now
  const errors = keyErrors(body, createdAt)
  if (errors.length > 0) return yield* invalid(errors)
  const whole = newKey()
  const key: ApiKey = {
    keyId: whole.keyId,
    tenantId: body.tenantId,
    scopes: body.scopes,
    label: body.label ?? null,
    createdAt,
    expiresAt: body.expiresAt ?? null,
    revokedAt: null
  }
  const isAdded = yield* transaction.run(store.insert({ ...key, secretHash: hashOf(whole.secret) }))
  if (isAdded) return { ...key, key: formatKey(whole) }
  const detail = `${body.tenantId} has ${LIVE_KEYS_MAX} live keys: revoke one that nobody uses`
  return yield* new TooManyKeys({ detail })
})

/** From when it returns on, the key opens nothing. It fails with `KeyNotFound` or `StorageError`. */
export const revokeKey = Effect.fn("Api.revokeKey")(function* (keyId: KeyId) {
  const store = yield* ApiKeyStore
  const transaction = yield* Transaction
  const authenticator = yield* Authenticator
  const isKnown = yield* transaction.run(store.revoke(keyId, yield* DateTime.now))
  authenticator.forget(keyId)
  if (!isKnown) return yield* new KeyNotFound({ detail: "The keys are listed at /api/admin/keys" })
})

const keyErrors = (
  { tenantId, scopes, expiresAt }: typeof NewKeyBody.Type,
  now: DateTime.Utc
): ReadonlyArray<FieldError> => {
  const errors: Array<FieldError> = []
  if (tenantId !== ALL_TENANTS && scopes.includes("admin")) {
    errors.push({ in: "body", pointer: "#/scopes", detail: "Expected admin only with the tenantId *" })
  }
  if (expiresAt !== undefined && expiresAt !== null && DateTime.isLessThanOrEqualTo(expiresAt, now)) {
    errors.push({ in: "body", pointer: "#/expiresAt", detail: "Expected a time in the future" })
  }
  return errors
}
