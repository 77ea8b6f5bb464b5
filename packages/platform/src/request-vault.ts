import { createCipheriv, createDecipheriv, createHmac, hkdfSync } from "node:crypto"
import { RequestSpec } from "@event-service-agent/schemas/http-request"
import type { ServiceCallKey } from "@event-service-agent/schemas/ids"
import { Context, Effect, Layer, Redacted, Schema } from "effect"
import { Aead, SecureRandom } from "effect/crypto"

export const SECRET_KEY_BYTES = 32
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
    Layer.effect(RequestVault, make(Redacted.value(secret))).pipe(
      Layer.provide(Aead.layerWebCryptoWith({ implementations: { aes256Gcm: nodeAes256Gcm } })),
      Layer.provide(SecureRandom.layerWebCrypto)
    )
}

const RequestJson = Schema.fromJsonString(RequestSpec)
const encodeRequest = Schema.encodeSync(RequestJson)
const decodeRequest = Schema.decodeUnknownEffect(RequestJson)

const make = Effect.fnUntraced(function* (secret: Uint8Array) {
  const aead = yield* Aead.Aead
  const derive = (use: string) => new Uint8Array(hkdfSync("sha256", secret, "", `event-service-agent/${use}`, 32))
  const key = yield* Effect.orDie(Aead.key(Aead.aes256Gcm, derive("seal")))
  const keyId = derive("key-id").subarray(0, KEY_ID_BYTES)
  const fingerprintKey = derive("fingerprint")
  const isOwn = (sealed: Uint8Array) => Buffer.from(keyId).equals(sealed.subarray(0, KEY_ID_BYTES))

  return RequestVault.of({
    seal: Effect.fnUntraced(function* (call, request) {
      const nonce = SecureRandom.randomBytesUnsafe(NONCE_BYTES)
      const plaintext = new TextEncoder().encode(encodeRequest(request))
      const sealed = yield* Effect.orDie(aead.encrypt(key, plaintext, { nonce, aad: aadOf(call) }))
      return Buffer.concat([keyId, nonce, sealed])
    }),
    open: Effect.fnUntraced(function* (call, sealed) {
      if (!isOwn(sealed)) return yield* new RequestUnreadable({ reason: "it was sealed with another key" })
      const nonce = sealed.subarray(KEY_ID_BYTES, KEY_ID_BYTES + NONCE_BYTES)
      const ciphertext = sealed.subarray(KEY_ID_BYTES + NONCE_BYTES)
      const plaintext = yield* Effect.mapError(
        aead.decrypt(key, ciphertext, { nonce, aad: aadOf(call) }),
        () => new RequestUnreadable({ reason: "it was changed, or belongs to another call" })
      )
      return yield* Effect.mapError(
        decodeRequest(new TextDecoder().decode(plaintext)),
        () => new RequestUnreadable({ reason: "it holds no request" })
      )
    }),
    isOwn,
    fingerprint: (text) => createHmac("sha256", fingerprintKey).update(text).digest("hex")
  })
})

const aadOf = (call: ServiceCallKey) => new TextEncoder().encode(`${call.tenantId}/${call.serviceCallId}`)

/** The same algorithm through node:crypto, about 20 times as fast as WebCrypto on Bun for small inputs. */
const nodeAes256Gcm: Aead.Implementation = {
  encrypt: (key, nonce, plaintext, aad) => {
    const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(aad)
    return Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()])
  },
  decrypt: (key, nonce, ciphertext, aad) => {
    if (ciphertext.byteLength < TAG_BYTES) return undefined
    const end = ciphertext.byteLength - TAG_BYTES
    const decipher = createDecipheriv("aes-256-gcm", key, nonce).setAAD(aad).setAuthTag(ciphertext.subarray(end))
    try {
      return Buffer.concat([decipher.update(ciphertext.subarray(0, end)), decipher.final()])
    } catch {
      return undefined
    }
  }
}
