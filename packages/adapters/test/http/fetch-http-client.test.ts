import { gzipSync } from "node:zlib"
import { RESPONSE_BODY_BYTES_MAX } from "@event-service-agent/platform/http-client-port"
import { live } from "@event-service-agent/platform/testing"
import { BODY_SNIPPET_BYTES_MAX, RESPONSE_HEADER_CHARACTERS_MAX } from "@event-service-agent/schemas/outcome"
import { Effect, Fiber, Result } from "effect"
import { describe, expect, it } from "vitest"
import { ADDRESSES_TRIED_MAX, RESPONSE_HEADERS_MAX } from "../../src/http/fetch-http-client.ts"
import { failureOf, get, send } from "./sending.ts"
import { answer, client, OK, target } from "./targets.ts"

describe("a request", () => {
  it(
    "arrives exactly as it was written",
    live(
      Effect.gen(function* () {
        const echo = yield* target((socket) => socket.end(OK))
        yield* send({
          method: "POST",
          url: `${echo.url}a%20b/ü?q=1&x=%2F&q=2#part`,
          headers: { "Content-Type": "application/json", Authorization: "Bearer secret", "X-Empty": "" },
          body: '{"grüße":1}'
        })
        const [head = "", body] = echo.requests[0]?.split("\r\n\r\n") ?? []
        const [line, ...headers] = head.split("\r\n")
        expect(line).toBe("POST /a%20b/%C3%BC?q=1&x=%2F&q=2 HTTP/1.1")
        expect(headers.map((header) => header.toLowerCase()).toSorted()).toEqual([
          "accept-encoding: identity",
          "accept: */*",
          "authorization: bearer secret",
          "content-length: 13",
          "content-type: application/json",
          `host: 127.0.0.1:${echo.port}`,
          "user-agent: event-service-agent",
          "x-empty: "
        ])
        expect(Buffer.from(body ?? "", "latin1").toString()).toBe('{"grüße":1}')
      }).pipe(Effect.provide(client()))
    )
  )

  for (const method of ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] as const) {
    it(
      `${method} goes out as ${method}, without a body when there is none`,
      live(
        Effect.gen(function* () {
          const echo = yield* target((socket) => socket.end(answer("200 OK\r\nContent-Length: 0")))
          expect((yield* send({ method, url: echo.url })).status).toBe(200)
          expect(echo.requests[0]).toMatch(new RegExp(`^${method} / HTTP/1.1\r\n[^]*\r\n\r\n$`))
          if (method !== "GET" && method !== "HEAD") expect(echo.requests[0]).toContain("Content-Length: 0")
        }).pipe(Effect.provide(client()))
      )
    )
  }

  it(
    "keeps the caller's own Accept-Encoding and User-Agent",
    live(
      Effect.gen(function* () {
        const echo = yield* target((socket) => socket.end(OK))
        yield* send({ ...get(echo.url), headers: { "accept-encoding": "gzip", "user-agent": "mine" } })
        expect(echo.requests[0]?.toLowerCase()).toContain("accept-encoding: gzip\r\n")
        expect(echo.requests[0]?.toLowerCase()).toContain("user-agent: mine\r\n")
        expect(echo.requests[0]?.toLowerCase()).not.toContain("identity")
      }).pipe(Effect.provide(client()))
    )
  )

  it(
    "is refused before anything is sent when it breaks a rule",
    live(
      Effect.gen(function* () {
        const echo = yield* target((socket) => socket.end(OK))
        for (const request of [
          { ...get(echo.url), headers: { Host: "inside.example" } },
          { ...get(echo.url), headers: { "X-Split": "a\r\nHost: secret" } },
          { ...get(echo.url), body: "secret" }
        ]) {
          expect(yield* failureOf(request)).toMatchObject({ kind: "RequestUnreadable", sent: "no" })
        }
        expect(echo.requests).toEqual([])
      }).pipe(Effect.provide(client()))
    )
  )
})

describe("a target that reads and closes without an answer", () => {
  const PER_METHOD = 200
  for (const method of ["GET", "PUT", "DELETE"] as const) {
    it(
      `gets ${method} exactly once`,
      live(
        Effect.gen(function* () {
          const closer = yield* target((socket) => socket.destroy())
          const urls = Array.from({ length: PER_METHOD }, (_, n) => `${closer.url}${n}`)
          const kinds = yield* Effect.forEach(urls, (url) => failureOf({ method, url }), { concurrency: 20 })
          expect(new Set(kinds.map(({ kind, sent }) => `${kind} ${sent}`))).toEqual(new Set(["ConnectionClosed maybe"]))
          const lines = closer.requests.map((request) => request.split("\r\n")[0])
          expect(lines.toSorted()).toEqual(urls.map((_, n) => `${method} /${n} HTTP/1.1`).toSorted())
        }).pipe(Effect.provide(client()))
      )
    )
  }

  it(
    "gets it once although it answered others before on connections that it kept open",
    live(
      Effect.gen(function* () {
        let count = 0
        const moody = yield* target((socket) => (++count <= 5 ? socket.write(OK) : socket.destroy()))
        for (let n = 0; n < 5; n++) yield* send(get(moody.url))
        yield* failureOf(get(moody.url))
        expect(moody.requests).toHaveLength(6)
      }).pipe(Effect.provide(client()))
    )
  )
})

describe("a name with several addresses", () => {
  const inTurn = (...addresses: ReadonlyArray<string>) => client(async () => addresses, "127.0.0.0/8, target.test")
  const named = (url: string) => url.replace("127.0.0.1", "target.test")

  it(
    "is tried at the next one when the connection is refused, which carried nothing",
    live(
      Effect.gen(function* () {
        const echo = yield* target((socket) => socket.end(OK))
        expect((yield* send(get(named(echo.url)))).status).toBe(200)
        expect(echo.requests).toHaveLength(1)
      }).pipe(Effect.provide(inTurn("127.0.0.2", "127.0.0.3", "127.0.0.1")))
    )
  )

  it(
    `is given up after ${ADDRESSES_TRIED_MAX} of them, but judged by all`,
    live(
      Effect.gen(function* () {
        const echo = yield* target((socket) => socket.end(OK))
        const refusing = Array.from({ length: ADDRESSES_TRIED_MAX - 1 }, (_, n) => `127.0.1.${n + 1}`)
        const sendTo = (...addresses: ReadonlyArray<string>) =>
          Effect.result(send(get(named(echo.url)))).pipe(
            Effect.map((result) => (Result.isSuccess(result) ? result.success.status : result.failure.kind)),
            Effect.provide(inTurn(...addresses))
          )
        expect(yield* sendTo(...refusing, "127.0.0.1")).toBe(200)
        expect(yield* sendTo(...refusing, "127.0.1.99", "127.0.0.1")).toBe("ConnectionFailed")
        expect(yield* sendTo("127.0.0.1", ...refusing, "127.0.1.99", "169.254.169.254")).toBe("BlockedDestination")
        expect(echo.requests).toHaveLength(1)
      })
    )
  )

  it(
    "gets one request in all when the first address reads it and closes",
    live(
      Effect.gen(function* () {
        const closer = yield* target((socket) => socket.destroy())
        expect(yield* failureOf(get(named(closer.url)))).toMatchObject({ kind: "ConnectionClosed", sent: "maybe" })
        expect(closer.requests).toHaveLength(1)
      }).pipe(Effect.provide(inTurn("127.0.0.1", "127.0.0.1")))
    )
  )
})

describe("an answer", () => {
  it(
    "is given whole, with the time of the send and how long it took",
    live(
      Effect.gen(function* () {
        const before = Date.now()
        const echo = yield* target((socket) => socket.end(answer("418 Teapot\r\nX-A: 1\r\nX-A: 2", "short and stout")))
        const { sentAt, latencyMs, bodyStart, ...rest } = yield* send(get(echo.url))
        expect(rest).toEqual({ status: 418, headers: [["x-a", "1, 2"]], bodyBytes: 15 })
        expect(new TextDecoder().decode(bodyStart)).toBe("short and stout")
        expect(sentAt).toBeGreaterThanOrEqual(before)
        expect(sentAt + latencyMs).toBeLessThanOrEqual(Date.now() + 1)
      }).pipe(Effect.provide(client()))
    )
  )

  it(
    "without a body is complete, and ends the connection: to HEAD, and with status 204",
    live(
      Effect.gen(function* () {
        const echo = yield* target((socket) => socket.write(answer("200 OK\r\nContent-Length: 500", "hello")))
        expect(yield* send({ method: "HEAD", url: echo.url })).toMatchObject({ status: 200, bodyBytes: 0 })
        yield* Effect.promise(() => echo.closed)
        const empty = yield* target((socket) => socket.write(answer("204 No Content")))
        expect(yield* send(get(empty.url))).toMatchObject({ status: 204, bodyBytes: 0 })
        yield* Effect.promise(() => empty.closed)
      }).pipe(Effect.provide(client()))
    )
  )

  it(
    "that redirects is the answer; nobody goes there",
    live(
      Effect.gen(function* () {
        const other = yield* target((socket) => socket.end(OK))
        for (const redirect of [301, 302, 303, 307, 308]) {
          const echo = yield* target((socket) => socket.end(answer(`${redirect} Away\r\nLocation: ${other.url}`)))
          const { status, headers } = yield* send({ ...get(echo.url), headers: { "X-Key": "secret" } })
          expect([status, headers]).toEqual([redirect, [["location", other.url]]])
        }
        expect(other.requests).toEqual([])
      }).pipe(Effect.provide(client()))
    )
  )

  it(
    "that is compressed stays so",
    live(
      Effect.gen(function* () {
        const bomb = gzipSync(Buffer.alloc(4 * RESPONSE_BODY_BYTES_MAX))
        const echo = yield* target((socket) => {
          socket.write(answer(`200 OK\r\nContent-Encoding: gzip\r\nContent-Length: ${bomb.byteLength}`))
          socket.end(bomb)
        })
        const { bodyBytes, bodyStart } = yield* send(get(echo.url))
        expect(bodyBytes).toBe(bomb.byteLength)
        expect(Buffer.from(bodyStart)).toEqual(bomb.subarray(0, BODY_SNIPPET_BYTES_MAX))
      }).pipe(Effect.provide(client()))
    )
  )

  it(
    "that never ends is read up to the limit, then the connection is closed",
    live(
      Effect.gen(function* () {
        let written = 0
        const hose = yield* target((socket) => {
          const chunk = Buffer.alloc(65_536, "a")
          const pour = () => {
            while (socket.writable && socket.write(chunk)) written += chunk.byteLength
          }
          socket.on("drain", pour)
          socket.write(answer("200 OK"))
          pour()
        })
        const { bodyBytes, bodyStart } = yield* send(get(hose.url))
        expect([bodyBytes, bodyStart.byteLength]).toEqual([RESPONSE_BODY_BYTES_MAX, BODY_SNIPPET_BYTES_MAX])
        yield* Effect.promise(() => hose.closed)
        expect(written).toBeLessThan(64 * RESPONSE_BODY_BYTES_MAX)
      }).pipe(Effect.provide(client()))
    )
  )

  it(
    "with many or long headers is cut",
    live(
      Effect.gen(function* () {
        const many = Array.from({ length: 150 }, (_, n) => `X-${n}: ${"v".repeat(n === 0 ? 20_000 : 1)}`).join("\r\n")
        const echo = yield* target((socket) => socket.end(answer(`200 OK\r\n${many}`)))
        const { headers } = yield* send(get(echo.url))
        expect(headers).toHaveLength(RESPONSE_HEADERS_MAX)
        const lengths = headers.map(([, value]) => value.length)
        expect(Math.max(...lengths)).toBe(RESPONSE_HEADER_CHARACTERS_MAX)
      }).pipe(Effect.provide(client()))
    )
  )

  it(
    "whose headers never end is given up",
    live(
      Effect.gen(function* () {
        const hose = yield* target((socket) => {
          const header = `X-A: ${"a".repeat(60_000)}\r\n`
          const pour = () => {
            while (socket.writable && socket.write(header));
          }
          socket.on("drain", pour)
          socket.write("HTTP/1.1 200 OK\r\n")
          pour()
        })
        expect(yield* failureOf(get(hose.url))).toMatchObject({ kind: "ConnectionClosed", sent: "maybe" })
      }).pipe(Effect.provide(client()))
    )
  )
})

describe("interruption", () => {
  it(
    "closes the connection at once",
    live(
      Effect.gen(function* () {
        const silent = yield* target(() => {})
        const sending = yield* Effect.forkScoped(send(get(silent.url)))
        yield* Effect.promise(() => silent.arrived)
        yield* Fiber.interrupt(sending)
        yield* Effect.promise(() => silent.closed)
      }).pipe(Effect.provide(client()))
    )
  )
})
