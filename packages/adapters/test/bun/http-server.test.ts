import { Stopping } from "@event-service-agent/platform/stopping"
import { live } from "@event-service-agent/platform/testing"
import { Deferred, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { describe, expect, it } from "vitest"
import {
  BUN_BODY_BYTES_MAX,
  BunHttpServer,
  type BunHttpServerOptions,
  ListenerScope
} from "../../src/bun/http-server.ts"

const LOOPBACK = { host: "127.0.0.1", port: 0 }

/** A server with one route that answers when it is told to. */
const start = Effect.fnUntraced(function* (options: BunHttpServerOptions) {
  const asked = yield* Deferred.make<void>()
  const mayAnswer = yield* Deferred.make<void>()
  const slow = Deferred.succeed(asked, undefined).pipe(
    Effect.andThen(Deferred.await(mayAnswer)),
    Effect.as(HttpServerResponse.text("done"))
  )
  const scope = yield* Scope.make()
  const layer = BunHttpServer.layer(options).pipe(
    Layer.provide(HttpRouter.add("GET", "/slow", slow)),
    Layer.provide(HttpRouter.layer),
    Layer.provide([ListenerScope.layer, Stopping.layer])
  )
  const context = yield* Layer.buildWithScope(layer, scope)
  const { url } = yield* Effect.provideContext(BunHttpServer, context)
  return { url, asked, mayAnswer, stop: Scope.close(scope, Exit.void) }
})

const get = (url: URL, path: string) => Effect.tryPromise(() => fetch(new URL(path, url)))

describe("BunHttpServer", () => {
  it(
    "lets requests under way finish when it stops, and takes no new ones",
    live(
      Effect.gen(function* () {
        const server = yield* start(LOOPBACK)
        const answer = yield* Effect.forkChild(get(server.url, "/slow"))
        yield* Deferred.await(server.asked)
        const stopping = yield* Effect.forkChild(server.stop)
        yield* Effect.yieldNow
        expect(Exit.isFailure(yield* Effect.exit(get(server.url, "/slow")))).toBe(true)
        yield* Deferred.succeed(server.mayAnswer, undefined)
        const response = yield* Fiber.join(answer)
        expect(yield* Effect.promise(() => response.text())).toBe("done")
        yield* Fiber.join(stopping)
      })
    )
  )

  it(
    "cuts off requests that do not end in time",
    live(
      Effect.gen(function* () {
        const server = yield* start({ ...LOOPBACK, closingMs: 20 })
        const answer = yield* Effect.forkChild(Effect.exit(get(server.url, "/slow")))
        yield* Deferred.await(server.asked)
        yield* server.stop
        expect(Exit.isFailure(yield* Fiber.join(answer))).toBe(true)
      })
    )
  )

  it(
    "stops at once after it answered a request whose body it did not read",
    live(
      Effect.gen(function* () {
        for (let round = 0; round < 5; round++) {
          const server = yield* start(LOOPBACK)
          const body = "x".repeat(1_100_000)
          const response = yield* Effect.promise(() => fetch(new URL("/nothing", server.url), { method: "POST", body }))
          expect(response.status).toBe(404)
          yield* server.stop
        }
      })
    )
  )

  it(
    "says in words when the port is taken",
    live(
      Effect.gen(function* () {
        const server = yield* start(LOOPBACK)
        const port = Number(server.url.port)
        const error = yield* Effect.flip(start({ ...LOOPBACK, port }))
        expect(error.message).toBe(
          `Port ${port} of 127.0.0.1 is taken by another program: stop that one, or choose another PORT`
        )
        yield* server.stop
      })
    )
  )

  it(
    "does not read a body without end",
    live(
      Effect.gen(function* () {
        const server = yield* start(LOOPBACK)
        const body = new Uint8Array(BUN_BODY_BYTES_MAX + 1)
        const response = yield* Effect.promise(() => fetch(new URL("/slow", server.url), { method: "POST", body }))
        expect(response.status).toBe(413)
        yield* server.stop
      })
    )
  )
})
