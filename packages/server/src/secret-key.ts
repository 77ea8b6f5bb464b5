import { randomBytes } from "node:crypto"
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, statSync, writeSync } from "node:fs"
import { dirname, resolve } from "node:path"
import { anySealedRequest } from "@event-service-agent/adapters/sqlite/backlog"
import { checkPlace } from "@event-service-agent/adapters/sqlite/database"
import { makeFolder, syncFolder, wasCreated } from "@event-service-agent/adapters/sqlite/database-files"
import { RequestVault, SECRET_KEY_BYTES } from "@event-service-agent/platform/request-vault"
import { Effect, Redacted, Schema } from "effect"

/** The key that seals requests cannot be used. The message says why and what to do. */
export class SecretKeyUnusable extends Schema.TaggedError<SecretKeyUnusable>()("SecretKeyUnusable", {
  path: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `cannot use the secret key ${this.path}: ${this.reason}`
  }
}

/**
 * Reads the key, 64 hexadecimal digits. A first start makes one that only this user can read; beside a database that
 * was sealed with a lost key, it refuses. Where there can be no database, that comes first: the key lies beside it.
 */
export const loadSecretKey = Effect.fn("Server.loadSecretKey")(function* (path: string, dbPath: string) {
  yield* checkPlace(dbPath)
  const isThere = existsSync(path)
  const isNew = !wasCreated(dbPath)
  const key = yield* Effect.try({
    try: () => {
      if (isThere) return Redacted.make(new Uint8Array(read(path)))
      if (isNew) return Redacted.make(new Uint8Array(create(path)))
      throw new Error(
        `it is missing, and the requests in ${dbPath} (DB_PATH) are sealed with it. Restore it, say with SECRET_KEY_FILE where it is, or start with another DB_PATH. Only when no call waits, a new one serves as well: openssl rand -hex 32 > ${path} && chmod 600 ${path}`
      )
    },
    catch: (cause) => new SecretKeyUnusable({ path, reason: cause instanceof Error ? cause.message : String(cause) })
  })
  if (isThere && isNew) {
    yield* Effect.logWarning(
      "begins an empty database, and the key was there before: if there should be calls, stop, and set DB_PATH to where they are"
    ).pipe(Effect.annotateLogs({ dbPath: resolve(dbPath), secretKeyFile: path }))
  }
  return key
})

/** Reads the key of an agent that runs elsewhere: there is none to make. */
export const readSecretKey = Effect.fn("Server.readSecretKey")((path: string) =>
  Effect.try({
    try: () => {
      if (!existsSync(path)) throw new Error("it is missing; copy it from the agent, and set SECRET_KEY_FILE")
      return Redacted.make(new Uint8Array(read(path)))
    },
    catch: (cause) => new SecretKeyUnusable({ path, reason: cause instanceof Error ? cause.message : String(cause) })
  })
)

/** Refuses a key that did not seal the stored requests: every call that waits would fail at its due time. */
export const checkSecretKey = Effect.fn("Server.checkSecretKey")(function* (path: string, dbPath: string) {
  const vault = yield* RequestVault
  const sealed = yield* anySealedRequest
  if (sealed === undefined || vault.isOwn(sealed)) return
  return yield* new SecretKeyUnusable({
    path,
    reason: `another key sealed the requests in the database ${dbPath}. Restore that one, or start with another DB_PATH`
  })
})

const read = (path: string): Buffer => {
  const found = statSync(path)
  if (found.isDirectory()) throw new Error("it is a folder; set SECRET_KEY_FILE to a file in it")
  if ((found.mode & 0o077) !== 0) throw new Error("others can read it; run chmod 600 on it")
  const text = readFileSync(path, "utf8").trim()
  if (text === "") {
    throw new Error("it is empty; restore it from a backup, or delete it when this was to be a first start")
  }
  if (!/^[0-9a-f]{64}$/i.test(text)) throw new Error("it has to hold 64 hexadecimal digits; restore it from a backup")
  return Buffer.from(text, "hex")
}

const create = (path: string): Buffer => {
  const key = randomBytes(SECRET_KEY_BYTES)
  // Exclusive: of two starts at the same moment one fails instead of sealing with a key that is overwritten.
  const file = inPlace(() => {
    makeFolder(dirname(path))
    return openSync(path, "wx", 0o600)
  })
  writeSync(file, `${key.toString("hex")}\n`)
  fsyncSync(file)
  closeSync(file)
  // A power cut must not leave what is sealed with it without it.
  syncFolder(dirname(path))
  return key
}

const inPlace = <A>(make: () => A): A => {
  try {
    return make()
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new Error(`it cannot be made (${why}). It lies beside DB_PATH unless SECRET_KEY_FILE names another place`)
  }
}
