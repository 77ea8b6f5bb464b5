import { live } from "@event-service-agent/platform/testing"
import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import { ENOUGH_MS, failureOf, get, SHORT_MS } from "./sending.ts"
import { answer, type Behaviour, client, OK, target, tlsTarget } from "./targets.ts"

describe("a failure says whether the request was sent", () => {
  it(
    "no: nobody listens",
    live(
      Effect.gen(function* () {
        const { url } = yield* Effect.scoped(target(() => {}))
        expect(yield* failureOf(get(url))).toMatchObject({ kind: "ConnectionFailed", sent: "no" })
      }).pipe(Effect.provide(client()))
    )
  )

  it(
    "no: the name does not resolve",
    live(
      Effect.gen(function* () {
        const failure = yield* failureOf(get("http://target.test/"))
        expect(failure).toMatchObject({ kind: "DnsFailed", sent: "no" })
        expect(failure.message).toContain("ENOTFOUND")
      }).pipe(Effect.provide(client(() => Promise.reject(new Error("at 10.0.0.53")))))
    )
  )

  it(
    "no: the look-up took all the time",
    live(
      Effect.gen(function* () {
        expect(yield* failureOf(get("http://target.test/"), SHORT_MS)).toMatchObject({ kind: "Timeout", sent: "no" })
      }).pipe(Effect.provide(client(() => new Promise(() => {}))))
    )
  )

  for (const [name, behaviour] of [
    ["no answer came", () => {}],
    [
      "the head of the answer came too slowly",
      (socket) => {
        socket.write("HTTP/1.1 200 OK\r\n")
        const drip = setInterval(() => socket.write("X-Slow: 1\r\n"), 10)
        socket.on("close", () => clearInterval(drip))
      }
    ]
  ] satisfies ReadonlyArray<[string, Behaviour]>) {
    it(
      `maybe: ${name}`,
      live(
        Effect.gen(function* () {
          const slow = yield* target(behaviour)
          const failure = yield* failureOf(get(slow.url), SHORT_MS)
          expect(failure).toMatchObject({ kind: "Timeout", sent: "maybe" })
          expect(failure.status).toBeUndefined()
          yield* Effect.promise(() => slow.closed)
        }).pipe(Effect.provide(client()))
      )
    )
  }

  for (const [name, behaviour] of [
    ["the target closed within the head", (socket) => socket.end("HTTP/1.1 200 OK\r\nConte")],
    ["the target reset the connection", (socket) => socket.resetAndDestroy()],
    ["the target does not speak HTTP", (socket) => socket.end("SSH-2.0-OpenSSH\r\n")]
  ] satisfies ReadonlyArray<[string, Behaviour]>) {
    it(
      `maybe: ${name}`,
      live(
        Effect.gen(function* () {
          const broken = yield* target(behaviour)
          const failure = yield* failureOf(get(broken.url))
          expect(failure).toMatchObject({ kind: "ConnectionClosed", sent: "maybe" })
          expect(broken.requests).toHaveLength(1)
        }).pipe(Effect.provide(client()))
      )
    )
  }

  for (const [name, kind, behaviour] of [
    [
      "the body came too slowly",
      "Timeout",
      (socket) => {
        socket.write(answer("200 OK\r\nContent-Length: 1000000"))
        const drip = setInterval(() => socket.write("a"), 10)
        socket.on("close", () => clearInterval(drip))
      }
    ],
    [
      "the target closed within the body",
      "ConnectionClosed",
      (socket) => socket.end(answer("200 OK\r\nContent-Length: 10", "abc"))
    ],
    [
      "the target closed within the last chunk",
      "ConnectionClosed",
      (socket) => socket.end(answer("200 OK\r\nTransfer-Encoding: chunked", "3\r\nabc\r\n"))
    ]
  ] satisfies ReadonlyArray<[string, string, Behaviour]>) {
    it(
      `yes: ${name}`,
      live(
        Effect.gen(function* () {
          const broken = yield* target(behaviour)
          const failure = yield* failureOf(get(broken.url), kind === "Timeout" ? SHORT_MS : ENOUGH_MS)
          expect(failure).toMatchObject({ kind, sent: "yes", status: 200 })
          yield* Effect.promise(() => broken.closed)
        }).pipe(Effect.provide(client()))
      )
    )
  }

  it(
    "maybe or yes, as far as the client had read: the target reset the connection within the body",
    live(
      Effect.gen(function* () {
        const broken = yield* target((socket) => {
          socket.write(answer("200 OK\r\nContent-Length: 10", "abc"), () => socket.resetAndDestroy())
        })
        const failure = yield* failureOf(get(broken.url))
        expect(failure.kind).toBe("ConnectionClosed")
        expect(failure.sent).toBe(failure.status === 200 ? "yes" : "maybe")
      }).pipe(Effect.provide(client()))
    )
  )

  it(
    "no: the certificate is not trusted",
    live(
      Effect.gen(function* () {
        const own = yield* tlsTarget((socket) => socket.end(OK))
        for (const url of [own.url, own.url.replace("127.0.0.1", "target.test")]) {
          const failure = yield* failureOf({ ...get(url), headers: { authorization: "secret" } })
          expect(failure).toMatchObject({ kind: "TlsFailed", sent: "no" })
          expect(failure.message).toContain("DEPTH_ZERO_SELF_SIGNED_CERT")
        }
        expect(own.requests).toEqual([])
      }).pipe(Effect.provide(client()))
    )
  )

  it(
    "no: the target speaks no TLS, closes within the handshake, or is silent in it",
    live(
      Effect.gen(function* () {
        const plain = yield* Effect.acquireRelease(
          Effect.sync(() => Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response("plain") })),
          (server) => Effect.promise(() => server.stop(true))
        )
        const failure = yield* failureOf(get(`https://127.0.0.1:${plain.port}/`))
        expect(failure).toMatchObject({ kind: "TlsFailed", sent: "no" })
        const silent = yield* target(() => {})
        const late = yield* failureOf(get(silent.url.replace("http:", "https:")), SHORT_MS)
        expect(late).toMatchObject({ kind: "Timeout", sent: "no" })
      }).pipe(Effect.provide(client()))
    )
  )
})
