import { Transaction } from "@event-service-agent/platform/transaction"
import { DateTime, Effect, Option } from "effect"
import { type ApiKey, ApiKeyStore, LIVE_KEYS_MAX, LIVE_KEYS_OF_LABEL_MAX, type NoRoom } from "../ports/api-key-store.ts"
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
  const noRoom = yield* transaction.run(store.insert({ ...key, secretHash: hashOf(whole.secret) }))
  if (Option.isSome(noRoom)) return yield* new TooManyKeys({ detail: explainNoRoom(key, noRoom.value) })
  return { ...key, key: formatKey(whole) }
})

/**
 * From when it returns on, the key opens nothing. It fails with `KeyNotFound`, or with `StorageError` when that cannot be
 * stored: then it holds for as long as the process runs.
 */
export const revokeKey = Effect.fn("Api.revokeKey")(function* (keyId: KeyId) {
  const store = yield* ApiKeyStore
  const transaction = yield* Transaction
  const authenticator = yield* Authenticator
  const isKnown = yield* transaction.run(store.revoke(keyId, yield* DateTime.now)).pipe(
    Effect.tapError(() =>
      Effect.map(store.get(keyId), (key) => {
        if (Option.isSome(key)) authenticator.shut(keyId)
      })
    )
  )
  authenticator.forget(keyId)
  if (!isKnown) return yield* new KeyNotFound({ detail: "The keys are listed at /api/admin/keys" })
})

/** Which limit is reached, and what to do. */
export const explainNoRoom = ({ tenantId, label }: Pick<ApiKey, "tenantId" | "label">, { limit, inTheWay }: NoRoom) => {
  const whose = tenantId === ALL_TENANTS ? "For all tenants" : `Of the tenant ${tenantId}`
  if (limit === "tenant") {
    return `${whose} ${inTheWay.length} keys are live, and ${LIVE_KEYS_MAX} may be: revoke those that no program uses any more, such as the oldest, ${inTheWay[0]}`
  }
  const which = label === null ? "without a label" : `with the label ${JSON.stringify(label)}`
  return `${whose} ${inTheWay.length} keys ${which} are live, and ${LIVE_KEYS_OF_LABEL_MAX} may be while one is changed: revoke those of ${inTheWay.join(", ")} that no program uses any more (the oldest first), or give each program a label of its own`
}

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
