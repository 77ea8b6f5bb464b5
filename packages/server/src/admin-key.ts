import { closeSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, statSync, writeSync } from "node:fs"
import { dirname } from "node:path"
import { makeFolder, syncFolder } from "@event-service-agent/adapters/sqlite/database-files"
import { formatKey, hashOf, newKey, parseKey } from "@event-service-agent/api/access/api-key"
import { explainNoRoom } from "@event-service-agent/api/access/manage-keys"
import { ALL_TENANTS, SCOPES } from "@event-service-agent/api/access/scope"
import { ApiKeyStore } from "@event-service-agent/api/ports/api-key-store"
import { Transaction } from "@event-service-agent/platform/transaction"
import { DateTime, Effect, Option, Schema } from "effect"

/** The first key for the administration cannot be handed over. The message says why and what to do. */
export class AdminKeyUnusable extends Schema.TaggedError<AdminKeyUnusable>()("AdminKeyUnusable", {
  path: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `cannot write the admin key to ${this.path}: ${this.reason}`
  }
}

/**
 * Makes a key that may do everything, when nobody has a live one with the scope admin, and writes it into a file that
 * only this user can read. It fails with `AdminKeyUnusable` or `StorageError`.
 */
export const provideAdminKey = Effect.fn("Server.provideAdminKey")(function* (path: string) {
  const store = yield* ApiKeyStore
  const transaction = yield* Transaction
  const createdAt = yield* DateTime.now
  if (yield* store.hasAdmin(createdAt)) return
  const whole = newKey()
  // The file first: a stop in between leaves a key that opens nothing, and the next start writes another one.
  yield* Effect.try({
    try: () => write(path, formatKey(whole)),
    catch: (cause) => new AdminKeyUnusable({ path, reason: cause instanceof Error ? cause.message : String(cause) })
  })
  const label = "made at the start"
  const noRoom = yield* transaction.run(
    store.insert({
      keyId: whole.keyId,
      tenantId: ALL_TENANTS,
      scopes: SCOPES,
      label,
      createdAt,
      expiresAt: null,
      revokedAt: null,
      secretHash: hashOf(whole.secret)
    })
  )
  if (Option.isSome(noRoom)) {
    const reason = explainNoRoom({ tenantId: ALL_TENANTS, label }, noRoom.value)
    const cure = "None of these may administer: start with AUTH=off on loopback to revoke one"
    return yield* new AdminKeyUnusable({ path, reason: `${reason}. ${cure}` })
  }
  yield* Effect.annotateLogs(Effect.logInfo("made an admin key: the file holds it, and nothing else does"), {
    file: path,
    keyId: whole.keyId
  })
})

const write = (path: string, key: string): void => {
  const found = statSync(path, { throwIfNoEntry: false })
  if (found !== undefined && parseKey(readFileSync(path, "utf8").trim()) === undefined) {
    throw new Error("it holds something else; move that away, or set another ADMIN_KEY_FILE")
  }
  makeFolder(dirname(path))
  const temporary = `${path}.new`
  rmSync(temporary, { force: true })
  const file = openSync(temporary, "wx", 0o600)
  writeSync(file, `${key}\n`)
  fsyncSync(file)
  closeSync(file)
  renameSync(temporary, path)
  syncFolder(dirname(path))
}
