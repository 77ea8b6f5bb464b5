import { connect } from "node:net"
import { live } from "@event-service-agent/platform/testing"
import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import { failureOf, get, SHORT_MS } from "./sending.ts"
import { type Behaviour, client, rawTarget } from "./targets.ts"

/** Listens and then does nothing more, for a minute. */
const LISTEN = `
  const server = require("node:net").createServer()
  server.listen({ port: 0, host: "127.0.0.1", backlog: 1 }, () => {
    console.log(server.address().port)
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60_000)
    process.exit()
  })
`

/** Never accepts: the system takes two connections for it, and no more. */
const frozen = Effect.acquireRelease(
  Effect.promise(async () => {
    const child = Bun.spawn([process.execPath, "-e", LISTEN], { stdout: "pipe" })
    const { value } = await child.stdout.getReader().read()
    return { child, port: Number(new TextDecoder().decode(value)) }
  }),
  ({ child }) => Effect.sync(() => child.kill("SIGKILL"))
).pipe(Effect.map(({ port }) => port))

const connected = (port: number) =>
  Effect.acquireRelease(
    Effect.sync(() => connect(port, "127.0.0.1").on("error", () => {})),
    (socket) => Effect.sync(() => socket.destroy())
  )

describe("a target that never accepts a connection", () => {
  it(
    "may have the request, since its system has taken it, but never over TLS",
    live(
      Effect.gen(function* () {
        const port = yield* frozen
        const plain = yield* failureOf(get(`http://127.0.0.1:${port}/`), SHORT_MS)
        expect(plain).toMatchObject({ kind: "Timeout", sent: "maybe" })
        const tls = yield* failureOf(get(`https://127.0.0.1:${port}/`), SHORT_MS)
        expect(tls).toMatchObject({ kind: "Timeout", sent: "no" })
      }).pipe(Effect.provide(client()))
    )
  )

  it(
    "and whose system takes no more of them, is taken to have the request perhaps: fetch does not say that it is unconnected",
    live(
      Effect.gen(function* () {
        const port = yield* frozen
        yield* Effect.forEach([1, 2, 3, 4], () => connected(port))
        const failure = yield* failureOf(get(`http://127.0.0.1:${port}/`), SHORT_MS)
        expect(failure).toMatchObject({ kind: "Timeout", sent: "maybe" })
      }).pipe(Effect.provide(client()))
    )
  )
})

/** Long enough for the first bytes of a handshake to arrive. */
const HANDSHAKE_MS = 500

/** A record that announces a long ServerHello. */
const HELLO = Buffer.from([0x16, 3, 3, 0x3f, 0xff, 2, 0, 0x3f, 0xfb])

describe("a target that answers a TLS handshake with something else gets nothing of the request", () => {
  for (const [what, outcome, behaviour] of [
    ["plain HTTP", "TlsFailed", (socket) => socket.end("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")],
    ["an alert", "TlsFailed", (socket) => socket.end(Buffer.from([0x15, 3, 3, 0, 2, 2, 40]))],
    ["noise", "TlsFailed", (socket) => socket.write(Buffer.alloc(1_000, "noise "))],
    ["an end", "TlsFailed", (socket) => socket.end()],
    ["a reset", "TlsFailed", (socket) => socket.resetAndDestroy()],
    ["silence", "Timeout", () => {}],
    [
      "a ServerHello that drips",
      "Timeout",
      (socket) => {
        socket.write(HELLO)
        const drip = setInterval(() => socket.write("\0"), 10)
        socket.on("close", () => clearInterval(drip))
      }
    ],
    [
      "change of cipher without end",
      "TlsFailed",
      (socket) => {
        const pour = () => {
          while (socket.writable && socket.write(Buffer.from([0x14, 3, 3, 0, 1, 1])));
        }
        socket.on("drain", pour)
        pour()
      }
    ]
  ] satisfies ReadonlyArray<[string, string, Behaviour]>) {
    it(
      what,
      live(
        Effect.gen(function* () {
          const odd = yield* rawTarget(behaviour)
          const timeoutMs = outcome === "Timeout" ? HANDSHAKE_MS : undefined
          const failure = yield* failureOf({ ...get(odd.url), headers: { "x-key": "secret" } }, timeoutMs)
          expect(failure).toMatchObject({ kind: outcome, sent: "no" })
          yield* Effect.promise(() => odd.closed)
          expect(odd.requests).toHaveLength(1)
          expect(odd.requests[0]).not.toContain("HTTP")
        }).pipe(Effect.provide(client()))
      )
    )
  }
})
