import { live } from "@event-service-agent/platform/testing"
import { Effect, Layer } from "effect"
import { describe, expect, it } from "vitest"
import { layer } from "../../src/http/fetch-http-client.ts"
import { HostResolver } from "../../src/http/host-resolver.ts"
import { failureOf, get, send } from "./sending.ts"
import { client, OK, policy, type Resolve, target } from "./targets.ts"

describe("the egress guard", () => {
  it(
    "refuses literal addresses, inside names, other schemes and user information",
    live(
      Effect.gen(function* () {
        const inside = yield* target((socket) => socket.end(OK))
        const { port } = inside
        for (const url of [
          inside.url,
          `http://2130706433:${port}/`,
          `http://0x7f.1:${port}/`,
          `http://[::ffff:127.0.0.1]:${port}/`,
          `http://[::1]:${port}/`,
          `http://localhost:${port}/`,
          `http://localhost.:${port}/`,
          `http://user:password@target.test:${port}/`,
          "file:///etc/hostname",
          "data:text/plain,hello",
          "s3://bucket/key",
          "http://169.254.169.254/latest/meta-data/"
        ]) {
          const failure = yield* failureOf(get(url))
          expect([url, failure.kind, failure.sent]).toEqual([url, "BlockedDestination", "no"])
        }
        expect(inside.requests).toEqual([])
      }).pipe(Effect.provide(client(async () => ["127.0.0.1"], "")))
    )
  )

  it(
    "refuses a name when any of its addresses is refused, whatever it resolved to before",
    live(
      Effect.gen(function* () {
        const inside = yield* target((socket) => socket.end(OK))
        const answers = [
          ["127.0.0.1"],
          ["93.184.216.34", "127.0.0.1"],
          ["127.0.0.1", "93.184.216.34"],
          ["::ffff:127.0.0.1"],
          ["2606:2800:220:1::1", "fe80::1%lo"]
        ]
        let asked = 0
        const rebinding: Resolve = async () => answers[asked++ % answers.length] ?? []
        const urls = Array.from({ length: 1_000 }, () => `http://rebinding.example:${inside.port}/`)
        const failures = yield* Effect.provide(
          Effect.forEach(urls, (url) => failureOf(get(url)), { concurrency: 50 }),
          client(rebinding, "")
        )
        expect(new Set(failures.map(({ kind, sent }) => `${kind} ${sent}`))).toEqual(new Set(["BlockedDestination no"]))
        expect(new Set(failures.map(({ message }) => message)).size).toBe(1)
        expect([asked, inside.requests]).toEqual([urls.length, []])
      })
    )
  )

  it(
    "resolves a name once, and calls the address that it judged under the name",
    live(
      Effect.gen(function* () {
        const echo = yield* target((socket) => socket.end(OK))
        const asked: Array<string> = []
        const once: Resolve = async (host) => (asked.push(host) === 1 ? ["127.0.0.1"] : ["10.0.0.1"])
        const { status } = yield* Effect.provide(send(get(`http://target.test:${echo.port}/`)), client(once))
        expect([status, asked]).toEqual([200, ["target.test"]])
        expect(echo.requests[0]?.toLowerCase()).toContain(`\r\nhost: target.test:${echo.port}\r\n`)
      })
    )
  )

  it(
    "lets a request go on to the next address when the first one refuses the connection",
    live(
      Effect.gen(function* () {
        const echo = yield* target((socket) => socket.end(OK))
        expect((yield* send(get(`http://target.test:${echo.port}/`))).status).toBe(200)
        expect(echo.requests).toHaveLength(1)
      }).pipe(Effect.provide(client(async () => ["::1", "127.0.0.1"])))
    )
  )

  it(
    "judges what the system resolves, and calls it when the operator opened the name",
    live(
      Effect.gen(function* () {
        const echo = yield* target((socket) => socket.end(OK))
        const url = `http://localhost:${echo.port}/`
        const through = (allow: string) => Layer.provide(layer, [HostResolver.layer, policy(allow)])
        expect((yield* Effect.provide(send(get(url)), through(`localhost:${echo.port}`))).status).toBe(200)
        const failure = yield* Effect.provide(failureOf(get(url)), through("localhost:1"))
        expect(failure.kind).toBe("BlockedDestination")
        expect(echo.requests).toHaveLength(1)
      })
    )
  )
})
