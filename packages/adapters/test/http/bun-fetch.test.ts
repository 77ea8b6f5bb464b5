import { createServer, type Socket } from "node:net"
import { pathToFileURL } from "node:url"
import { live } from "@event-service-agent/platform/testing"
import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import { CERTIFICATE_FILE, OK, target } from "./targets.ts"

/** Answers the first request of a connection, and closes it on the second. */
const forgetful = Effect.acquireRelease(
  Effect.callback<{ readonly url: string; readonly lines: Array<string>; readonly close: () => void }>((resume) => {
    const lines: Array<string> = []
    const server = createServer((socket) => {
      let count = 0
      socket.on("error", () => {})
      socket.on("data", (data) => {
        lines.push(data.toString().split("\r\n")[0] ?? "")
        if (++count === 1) socket.write(OK)
        else socket.destroy()
      })
    })
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      const port = typeof address === "string" ? 0 : (address?.port ?? 0)
      resume(Effect.succeed({ url: `http://127.0.0.1:${port}/`, lines, close: () => server.close() }))
    })
  }),
  ({ close }) => Effect.sync(close)
)

/** If one of these fails, Bun has changed, and the client's code that goes round it wants another look. */
describe("a plain fetch, which the client must not be,", () => {
  for (const method of ["GET", "PUT", "DELETE"]) {
    it(
      `sends ${method} a second time when a pooled connection closes`,
      live(
        Effect.gen(function* () {
          const { url, lines } = yield* forgetful
          const send = (path: string) =>
            Effect.promise(() =>
              fetch(url + path, { method }).then(
                (response) => response.text(),
                () => "failed"
              )
            )
          yield* send("first")
          yield* send("second")
          expect(lines.filter((line) => line.includes("/second"))).toHaveLength(2)
        })
      )
    )
  }

  it(
    "makes GET of an unknown method, and drops line breaks from the URL",
    live(
      Effect.gen(function* () {
        const echo = yield* target((socket) => socket.end(OK))
        yield* Effect.promise(() => fetch(`${echo.url}a\r\nb`, { method: "BREW", keepalive: false }))
        expect(echo.requests[0]).toMatch(/^GET \/ab HTTP/)
      })
    )
  )

  it(
    "holds back every request beyond 256 until another one ends",
    live(
      Effect.gen(function* () {
        const held: Array<Socket> = []
        const full = Promise.withResolvers<void>()
        const silent = yield* target((socket) => {
          if (held.push(socket) === 256) full.resolve()
        })
        const echo = yield* target((socket) => socket.end(OK))
        const sends = Array.from({ length: 256 }, () => fetch(silent.url, { keepalive: false }).catch(() => {}))
        const late = fetch(echo.url, { keepalive: false })
        yield* Effect.promise(() => full.promise)
        expect(echo.requests).toEqual([])
        held[0]?.destroy()
        expect((yield* Effect.promise(() => late)).status).toBe(200)
        for (const socket of held) socket.destroy()
        yield* Effect.promise(() => Promise.all(sends))
      })
    )
  )

  it("opens files and data", async () => {
    expect(await (await fetch(pathToFileURL(CERTIFICATE_FILE))).text()).toContain("BEGIN CERTIFICATE")
    expect(await (await fetch("data:,hello")).text()).toBe("hello")
  })
})
