import { connect } from "node:net"
import * as Api from "@event-service-agent/api/api"
import { layerStores } from "@event-service-agent/api/testing"
import { Effect, Layer } from "effect"
import { HttpRouter } from "effect/http"
import { BunHttpServer, ListenerScope } from "../../src/bun/http-server.ts"

/** The api module on a real server, any free port, over stores in memory. */
export const layerApiServer = BunHttpServer.layer({ host: "127.0.0.1", port: 0 }).pipe(
  Layer.provide(ListenerScope.layer),
  Layer.provide(Api.layer({ hosts: ["agent.example"] })),
  Layer.provide(HttpRouter.layer)
)
export const layerInMemory = layerApiServer.pipe(Layer.provideMerge(layerStores))

export const CALLS = "/api/tenants/acme/service-calls"

export interface Answer {
  readonly status: number
  readonly headers: Headers
  // biome-ignore lint/suspicious/noExplicitAny: what came over the wire, for the test to compare
  readonly body: any
}

/** Asks the server over the network. An answer without a body has `null`. */
export const ask = Effect.fnUntraced(function* (path: string, init?: RequestInit) {
  const { url } = yield* BunHttpServer
  const response = yield* Effect.promise(() => fetch(new URL(path, url), init))
  const text = yield* Effect.promise(() => response.text())
  const isJson = response.headers.get("content-type")?.includes("json")
  const answer: Answer = {
    status: response.status,
    headers: response.headers,
    body: text === "" ? null : isJson ? JSON.parse(text) : text
  }
  return answer
})

export const send = (method: string, path: string, body: unknown, headers?: Record<string, string>) =>
  ask(path, { method, headers: { "content-type": "application/json", ...headers }, body: JSON.stringify(body) })

export const submit = (body: unknown, headers?: Record<string, string>) => send("POST", CALLS, body, headers)

/** Writes the text to the server's socket and reads until the server closes it. */
export const askRaw = Effect.fnUntraced(function* (text: string) {
  const { url } = yield* BunHttpServer
  return yield* Effect.promise(
    () =>
      new Promise<string>((resolve, reject) => {
        const chunks: Array<string> = []
        const socket = connect(Number(url.port), url.hostname)
        socket
          .setEncoding("utf8")
          .on("connect", () => socket.write(text))
          .on("data", (chunk: string) => chunks.push(chunk))
          .on("end", () => resolve(chunks.join("")))
          .on("error", reject)
      })
  )
})
