import type { RequestSpec } from "@event-service-agent/schemas/http-request"
import { Effect, Redacted } from "effect"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { RequestUnreadable, RequestVault, SECRET_KEY_BYTES } from "../src/request-vault.ts"
import { keyOfCall } from "./messages.ts"
import { live } from "./testing.ts"

const REQUEST: RequestSpec = {
  method: "POST",
  url: "https://example.com/?token=s3cr3t",
  headers: { authorization: "Bearer s3cr3t" },
  body: "grüezi s3cr3t"
}
const secretOf = (byte: number) => Redacted.make(new Uint8Array(SECRET_KEY_BYTES).fill(byte))
const withVault = <A, E>(byte: number, use: (vault: RequestVault["Service"]) => Effect.Effect<A, E>) =>
  live(Effect.flatMap(RequestVault, use).pipe(Effect.provide(RequestVault.layer(secretOf(byte)))))
const key = keyOfCall(1)

describe("RequestVault", () => {
  it(
    "gives back what it sealed, and shows nothing of it",
    withVault(1, (vault) =>
      Effect.gen(function* () {
        const sealed = yield* vault.seal(key, REQUEST)
        expect(Buffer.from(sealed).includes("s3cr3t")).toBe(false)
        expect(yield* vault.open(key, sealed)).toEqual(REQUEST)
      })
    )
  )

  it(
    "seals the same request differently each time: a nonce is never used twice",
    withVault(1, (vault) =>
      Effect.gen(function* () {
        const sealed = yield* Effect.all(Array.from({ length: 1_000 }, () => vault.seal(key, REQUEST)))
        expect(new Set(sealed.map((bytes) => Buffer.from(bytes.subarray(4, 16)).toString("hex"))).size).toBe(1_000)
      })
    )
  )

  it(
    "opens it for its own call alone",
    withVault(1, (vault) =>
      Effect.gen(function* () {
        const sealed = yield* vault.seal(key, REQUEST)
        for (const other of [keyOfCall(2), keyOfCall(1, "other")]) {
          expect(yield* Effect.flip(vault.open(other, sealed))).toBeInstanceOf(RequestUnreadable)
        }
      })
    )
  )

  it(
    "refuses bytes that were changed, cut or never sealed",
    withVault(1, (vault) =>
      Effect.gen(function* () {
        const sealed = yield* vault.seal(key, REQUEST)
        const services = yield* Effect.context<never>()
        const isRefused = (bytes: Uint8Array) =>
          Effect.runPromiseWith(services)(Effect.flip(vault.open(key, bytes))).then(
            (error) => error instanceof RequestUnreadable
          )
        const flipped = fc.record({ at: fc.nat(sealed.byteLength - 1), bit: fc.nat(7) }).map(({ at, bit }) => {
          const bytes = new Uint8Array(sealed)
          bytes[at] = (bytes[at] ?? 0) ^ (1 << bit)
          return bytes
        })
        const cut = fc.nat(sealed.byteLength - 1).map((length) => sealed.slice(0, length))
        const wrong = fc.oneof(flipped, cut, fc.uint8Array({ maxLength: 64 }))
        yield* Effect.promise(() => fc.assert(fc.asyncProperty(wrong, isRefused)))
      })
    )
  )

  it("opens and owns nothing that another secret sealed", async () => {
    const sealed = await withVault(1, (vault) => vault.seal(key, REQUEST))()
    await withVault(1, (vault) => Effect.sync(() => expect(vault.isOwn(sealed)).toBe(true)))()
    await withVault(2, (vault) =>
      Effect.gen(function* () {
        expect(vault.isOwn(sealed)).toBe(false)
        expect((yield* Effect.flip(vault.open(key, sealed))).reason).toBe("it was sealed with another key")
      })
    )()
  })

  it("has a fingerprint that depends on the text and on the secret, and not on anything else", async () => {
    const of = (byte: number, text: string) => withVault(byte, (vault) => Effect.sync(() => vault.fingerprint(text)))()
    expect(await of(1, "a")).toMatch(/^[0-9a-f]{64}$/)
    expect(await of(1, "a")).toBe(await of(1, "a"))
    expect(new Set([await of(1, "a"), await of(1, "b"), await of(2, "a")]).size).toBe(3)
  })

  it("seals and signs with keys of their own, not with the secret itself", async () => {
    const sealed = await withVault(1, (vault) => vault.seal(key, REQUEST))()
    const raw = await crypto.subtle.importKey("raw", Redacted.value(secretOf(1)), "AES-GCM", false, ["decrypt"])
    const aad = new TextEncoder().encode(`${key.tenantId}/${key.serviceCallId}`)
    const opened = crypto.subtle.decrypt(
      { name: "AES-GCM", iv: sealed.slice(4, 16), additionalData: aad },
      raw,
      sealed.slice(16)
    )
    expect(await opened.then(() => "opened").catch(() => "refused")).toBe("refused")
  })
})
