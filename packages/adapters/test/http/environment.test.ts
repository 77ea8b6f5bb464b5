import type { Socket } from "node:net"
import { fileURLToPath } from "node:url"
import { live } from "@event-service-agent/platform/testing"
import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import { answer, CERTIFICATE_FILE, EXPIRED_CERTIFICATE_FILE, OK, target, tlsTarget } from "./targets.ts"

const SEND = fileURLToPath(new URL("send.ts", import.meta.url))

/** Runs Bun with these arguments in an environment of its own, and returns everything it printed. */
const run = (args: ReadonlyArray<string>, env: Record<string, string>) =>
  Effect.promise(async () => {
    const child = Bun.spawn([process.execPath, ...args], { env, stdout: "pipe", stderr: "pipe" })
    const [out, err] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()])
    return out + err
  })

const plainFetch = (url: string) => ["-e", `await fetch("${url}", { headers: { "x-key": "sesame" } }).catch(() => {})`]

describe("the environment cannot", () => {
  it(
    "reroute a request through a proxy, as it does with a plain fetch",
    live(
      Effect.gen(function* () {
        const proxy = yield* target((socket) => socket.end(answer("502 Proxy")))
        const echo = yield* target((socket) => socket.end(OK))
        for (const name of ["HTTP_PROXY", "http_proxy", "ALL_PROXY"]) {
          expect(yield* run([SEND, echo.url], { [name]: proxy.url })).toBe('["200"]\n')
        }
        expect([echo.requests.length, proxy.requests.length]).toEqual([3, 0])
        yield* run(plainFetch(echo.url), { HTTP_PROXY: proxy.url })
        expect([echo.requests.length, proxy.requests.length]).toEqual([3, 1])

        const own = yield* tlsTarget((socket) => socket.end(OK))
        const trusting = { NODE_EXTRA_CA_CERTS: CERTIFICATE_FILE, HTTPS_PROXY: proxy.url }
        expect(yield* run([SEND, own.url], trusting)).toBe('["200"]\n')
        expect([own.requests.length, proxy.requests.length]).toEqual([1, 1])
        yield* run(plainFetch(own.url), trusting)
        expect([own.requests.length, proxy.requests.length]).toEqual([1, 2])
      })
    )
  )

  it(
    "print a request, as it does with a plain fetch",
    live(
      Effect.gen(function* () {
        const echo = yield* target((socket) => socket.end(OK))
        const verbose = { BUN_CONFIG_VERBOSE_FETCH: "curl" }
        expect(yield* run([SEND, echo.url], verbose)).toBe('["200"]\n')
        expect(yield* run(plainFetch(echo.url), verbose)).toContain("sesame")
      })
    )
  )

  it(
    "make an untrusted certificate good",
    live(
      Effect.gen(function* () {
        const own = yield* tlsTarget((socket) => socket.end(OK))
        expect(yield* run([SEND, own.url], { NODE_TLS_REJECT_UNAUTHORIZED: "0" })).toContain('["TlsFailed no"]\n')
        expect(own.requests).toEqual([])
      })
    )
  )

  it(
    "make the certificate of another name good, or one that has expired",
    live(
      Effect.gen(function* () {
        const own = yield* tlsTarget((socket) => socket.end(OK))
        const expired = yield* tlsTarget((socket) => socket.end(OK), { certificateFile: EXPIRED_CERTIFICATE_FILE })
        const unchecked = { NODE_TLS_REJECT_UNAUTHORIZED: "0" }
        const other = own.url.replace("127.0.0.1", "other.example")
        expect(yield* run([SEND, own.url, other], { ...unchecked, NODE_EXTRA_CA_CERTS: CERTIFICATE_FILE })).toContain(
          '["200","TlsFailed no"]\n'
        )
        expect(
          yield* run([SEND, expired.url], { ...unchecked, NODE_EXTRA_CA_CERTS: EXPIRED_CERTIFICATE_FILE })
        ).toContain('["TlsFailed no"]\n')
        expect([own.requests.length, expired.requests.length]).toEqual([1, 0])
      })
    )
  )
})

describe("a certificate that the system trusts", () => {
  it(
    "is accepted for its names only, and the request goes over HTTP/1.1 even where HTTP/2 is switched on",
    live(
      Effect.gen(function* () {
        const own = yield* tlsTarget((socket) => socket.end(OK))
        const named = (name: string) => `https://${name}:${own.port}/`
        const out = yield* run([SEND, named("target.test"), named("127.0.0.1"), named("other.example")], {
          NODE_EXTRA_CA_CERTS: CERTIFICATE_FILE,
          BUN_FEATURE_FLAG_EXPERIMENTAL_HTTP2_CLIENT: "1",
          BUN_FEATURE_FLAG_EXPERIMENTAL_HTTP3_CLIENT: "1"
        })
        expect(out).toBe('["200","200","TlsFailed no"]\n')
        expect(own.requests.map((request) => request.split("\r\n")[0])).toEqual(["GET / HTTP/1.1", "GET / HTTP/1.1"])
      })
    )
  )

  it(
    "does not make a request unsent that left before the connection broke",
    live(
      Effect.gen(function* () {
        const closer = yield* tlsTarget((socket) => socket.destroy())
        const env = { NODE_EXTRA_CA_CERTS: CERTIFICATE_FILE }
        const urls = Array.from({ length: 5 }, () => closer.url)
        expect(yield* run([SEND, ...urls], env)).toBe(`${JSON.stringify(urls.map(() => "ConnectionClosed maybe"))}\n`)
        expect(closer.requests).toHaveLength(urls.length)
      })
    )
  )
})

describe("a target over TLS", () => {
  it(
    "has its certificate checked on each connection: none takes up the session of an earlier one",
    live(
      Effect.gen(function* () {
        const env = { NODE_EXTRA_CA_CERTS: CERTIFICATE_FILE, IN_TURN: "1" }
        for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
          let count = 0
          const moody = yield* tlsTarget((socket) => (++count % 2 === 1 ? socket.end(OK) : socket.destroy()), {
            maxVersion
          })
          const outcomes = ["200", "ConnectionClosed maybe", "200", "ConnectionClosed maybe"]
          const out = yield* run([SEND, ...outcomes.map(() => moody.url)], env)
          expect(out).toBe(`${JSON.stringify(outcomes)}\n`)
        }
      })
    )
  )

  it(
    "that wants a certificate from the client gets none, and perhaps the request: TLS 1.3 refuses after it was sent",
    live(
      Effect.gen(function* () {
        const env = { NODE_EXTRA_CA_CERTS: CERTIFICATE_FILE }
        for (const [maxVersion, outcome] of [
          ["TLSv1.2", "TlsFailed no"],
          ["TLSv1.3", "ConnectionClosed maybe"]
        ] as const) {
          const options = { maxVersion, requestCert: true, rejectUnauthorized: true }
          const strict = yield* tlsTarget((socket) => socket.end(OK), options)
          expect(yield* run([SEND, strict.url], env)).toBe(`${JSON.stringify([outcome])}\n`)
          expect(strict.requests).toEqual([])
        }
      })
    )
  )
})

describe("BUN_CONFIG_MAX_HTTP_REQUESTS", () => {
  it(
    "lets more than 256 requests go out at once",
    live(
      Effect.gen(function* () {
        const waiting: Array<Socket> = []
        const patient = yield* target((socket) => {
          if (waiting.push(socket) === 300) for (const each of waiting) each.end(OK)
        })
        const urls = Array.from({ length: 300 }, () => patient.url)
        const out = yield* run([SEND, ...urls], { BUN_CONFIG_MAX_HTTP_REQUESTS: "300" })
        expect(out).toBe(`${JSON.stringify(urls.map(() => "200"))}\n`)
      })
    )
  )
})
