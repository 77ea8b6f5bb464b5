import { Transaction } from "@event-service-agent/platform/transaction"
import { TenantId } from "@event-service-agent/schemas/ids"
import { fromMillis } from "@event-service-agent/schemas/time"
import { Effect, Layer } from "effect"
import { HttpRouter } from "effect/http"
import { formatKey, hashOf, newKey } from "../../src/access/api-key.ts"
import * as Api from "../../src/api.ts"
import { ApiKeyStore, type StoredApiKey } from "../../src/ports/api-key-store.ts"
import { layerStores, processCommands } from "../testing.ts"

export const ORIGIN = "http://localhost"
export const acme = TenantId.make("acme")
export const globex = TenantId.make("globex")

/** A key that lives since 1970, and its text. */
export const keyWith = (changes: Partial<StoredApiKey>) => {
  const whole = newKey()
  const stored: StoredApiKey = {
    keyId: whole.keyId,
    tenantId: acme,
    scopes: ["read", "submit"],
    // As if each were of a program of its own.
    label: whole.keyId,
    createdAt: fromMillis(0),
    expiresAt: null,
    revokedAt: null,
    secretHash: hashOf(whole.secret),
    ...changes
  }
  return { stored, text: formatKey(whole) }
}

/** The api in memory, which asks for keys, with these. Commands are decided; calls stay Scheduled. */
export const keyedApi = (keys: ReadonlyArray<StoredApiKey>, options: Partial<Api.ApiOptions> = {}) => {
  const insertKeys = Effect.gen(function* () {
    const store = yield* ApiKeyStore
    const transaction = yield* Transaction
    yield* transaction.run(Effect.forEach(keys, store.insert))
  })
  const layer = Layer.mergeAll(
    Api.layer({ hosts: [], isKeyed: true, ...options }),
    Layer.effectDiscard(Effect.andThen(insertKeys, processCommands)),
    // A route that nobody has listed.
    HttpRouter.add("GET", "/forgotten", Effect.die("it was reached"))
  ).pipe(Layer.provide(layerStores))
  const { handler, dispose } = HttpRouter.toWebHandler(layer, { disableLogger: true })

  /** @param authorization the header; none when absent */
  const ask = (method: string, path: string, authorization?: string, value?: unknown): Promise<Response> => {
    const body = value === undefined ? null : JSON.stringify(value)
    const headers = new Headers({ host: "localhost" })
    if (authorization !== undefined) headers.set("authorization", authorization)
    if (body !== null) headers.set("content-type", "application/json")
    if (body !== null) headers.set("content-length", String(Buffer.byteLength(body)))
    return handler(new Request(ORIGIN + path, { method, headers, body }))
  }
  return { ask, dispose }
}
