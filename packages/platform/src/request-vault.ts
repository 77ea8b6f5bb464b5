import { createCipheriv, createDecipheriv, createHmac, hkdfSync } from "node:crypto"
import { RequestSpec } from "@event-service-agent/schemas/http-request"
import type { ServiceCallKey } from "@event-service-agent/schemas/ids"
import { Context, Effect, Layer, Redacted, Schema } from "effect"

export const SECRET_KEY_BYTES = 32
/** Through node:crypto: about 20 times as fast as WebCrypto on Bun for small inputs. */
const ALGORITHM = "aes-256-gcm"
const KEY_ID_BYTES = 4
const NONCE_BYTES = 12
const TAG_BYTES = 16

/** The sealed request does not open: another key sealed it, it was changed, or it belongs to another call. */
export class RequestUnreadable extends Schema.TaggedError<RequestUnreadable>()("RequestUnreadable", {
  reason: Schema.String
}) {}

/**
 * Keeps requests secret: sealed at the edge before they touch disk or broker, opened only by execution. Nonces are
 * random, so that one key is good for about 2^32 requests: then two of them are alike with a chance of one in 2^33.
 */
export class RequestVault extends Context.Service<
  RequestVault,
  {
    /** AES-256-GCM, bound to its call: key id (4 bytes), nonce (12 bytes), ciphertext with tag. */
    readonly seal: (key: ServiceCallKey, request: RequestSpec) => Effect.Effect<Uint8Array>
    readonly open: (key: ServiceCallKey, sealed: Uint8Array) => Effect.Effect<RequestSpec, RequestUnreadable>
    /** Whether this vault's key sealed it. */
    readonly isOwn: (sealed: Uint8Array) => boolean
    /** A keyed hash in hexadecimal, so that stored fingerprints say nothing about what was sent. */
    readonly fingerprint: (text: string) => string
  }
>()("@event-service-agent/platform/RequestVault") {
  /** @param secret 32 random bytes; whoever has them can read every stored request */
  static readonly layer = (secret: Redacted.Redacted<Uint8Array>) =>
    Layer.sync(RequestVault, () => make(Redacted.value(secret)))
}

const decodeRequest = Schema.decodeUnknownEffect(Schema.fromJsonString(RequestSpec))

const make = (secret: Uint8Array): RequestVault["Service"] => {
  const derive = (use: string) => new Uint8Array(hkdfSync("sha256", secret, "", `event-service-agent/${use}`, 32))
  const key = derive("seal")
  const keyId = derive("key-id").subarray(0, KEY_ID_BYTES)
  const fingerprintKey = derive("fingerprint")
  const isOwn = (sealed: Uint8Array) => keyId.every((byte, index) => sealed[index] === byte)

  return {
    seal: (call, request) =>
      Effect.sync(() => {
        const nonce = crypto.getRandomValues(new Uint8Array(NONCE_BYTES))
        const cipher = createCipheriv(ALGORITHM, key, nonce).setAAD(aadOf(call))
        const ciphertext = cipher.update(JSON.stringify(request), "utf8")
        return Buffer.concat([keyId, nonce, ciphertext, cipher.final(), cipher.getAuthTag()])
      }),
    open: Effect.fnUntraced(function* (call, sealed) {
      if (!isOwn(sealed)) return yield* new RequestUnreadable({ reason: "it was sealed with another key" })
      const plaintext = yield* Effect.try({
        try: () => decrypt(key, sealed.subarray(KEY_ID_BYTES), aadOf(call)),
        catch: () => new RequestUnreadable({ reason: "it was changed, or belongs to another call" })
      })
      return yield* Effect.mapError(
        decodeRequest(plaintext),
        () => new RequestUnreadable({ reason: "it holds no request" })
      )
    }),
    isOwn,
    fingerprint: (text) => createHmac("sha256", fingerprintKey).update(text).digest("hex")
  }
}

const aadOf = (call: ServiceCallKey) => Buffer.from(`${call.tenantId}/${call.serviceCallId}`)

/** Throws unless the key sealed the bytes, which begin with the nonce and end with the tag, under this `aad`. */
const decrypt = (key: Uint8Array, bytes: Uint8Array, aad: Uint8Array): string => {
  const tagAt = bytes.byteLength - TAG_BYTES
  const decipher = createDecipheriv(ALGORITHM, key, bytes.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES })
    .setAAD(aad)
    .setAuthTag(bytes.subarray(tagAt))
  return decipher.update(bytes.subarray(NONCE_BYTES, tagAt), undefined, "utf8") + decipher.final("utf8")
}
