import { readFileSync } from "node:fs"
import { createServer, type Server, type Socket } from "node:net"
import { createServer as createTlsServer, type TlsOptions } from "node:tls"
import { fileURLToPath } from "node:url"
import { EgressPolicy, parseEgressAllow } from "@event-service-agent/platform/egress-policy"
import { Effect, Layer, Result } from "effect"
import { layer } from "../../src/http/fetch-http-client.ts"
import { HostResolver, LookupFailed } from "../../src/http/host-resolver.ts"

/** Self-signed, for `target.test` and 127.0.0.1, from 2020 to 2120. Its key is secret to nobody. */
export const CERTIFICATE_FILE = fileURLToPath(new URL("certificate.pem", import.meta.url))
/** The same, but only to 2021. */
export const EXPIRED_CERTIFICATE_FILE = fileURLToPath(new URL("expired-certificate.pem", import.meta.url))
const PRIVATE_KEY_FILE = fileURLToPath(new URL("private-key.pem", import.meta.url))

/** What a target does with a connection once the head of a request has arrived on it. */
export type Behaviour = (socket: Socket) => void

/** A server on loopback that keeps what arrives, byte for byte, and answers as its behaviour says. */
export interface Target {
  readonly port: number
  readonly url: string
  /** What has arrived, one string for each connection that sent something. */
  readonly requests: Array<string>
  /** Settles when the head of a request has arrived. */
  readonly arrived: Promise<void>
  /** Settles when a connection has closed. */
  readonly closed: Promise<void>
}

export const target = (behaviour: Behaviour) => listen("http", createServer(), "connection", behaviour)

/** Behaves so from the first byte on: for those who answer a TLS handshake with something else. */
export const rawTarget = (behaviour: Behaviour) => listen("https", createServer(), "connection", behaviour, "")

/** Speaks HTTP/1.1, but would also agree to HTTP/2. */
export const tlsTarget = (behaviour: Behaviour, { certificateFile = CERTIFICATE_FILE, ...options }: TlsTarget = {}) => {
  const [cert, key] = [readFileSync(certificateFile), readFileSync(PRIVATE_KEY_FILE)]
  const server = createTlsServer({ cert, key, ALPNProtocols: ["h2", "http/1.1"], ...options })
  return listen("https", server, "secureConnection", behaviour)
}

interface TlsTarget extends TlsOptions {
  readonly certificateFile?: string
}

export const policy = (allow: string) => EgressPolicy.layer(Result.getOrThrow(parseEgressAllow(allow)))

/** All addresses of a host name; a rejection says that there is none. */
export type Resolve = (host: string) => Promise<ReadonlyArray<string>>

/** A client that finds every name on loopback and, unless `allow` says otherwise, may call it. */
export const client = (resolve: Resolve = async () => ["127.0.0.1"], allow = "127.0.0.1, target.test") =>
  layer.pipe(
    Layer.provide(
      Layer.succeed(HostResolver, {
        addressesOf: (host) =>
          Effect.tryPromise({ try: () => resolve(host), catch: () => new LookupFailed({ code: "ENOTFOUND" }) })
      })
    ),
    Layer.provide(policy(allow))
  )

export const answer = (head: string, body = "") => `HTTP/1.1 ${head}\r\n\r\n${body}`
export const OK = answer("200 OK\r\nContent-Length: 2", "ok")

const listen = (scheme: string, server: Server, event: string, behaviour: Behaviour, awaited = "\r\n\r\n") =>
  Effect.acquireRelease(
    Effect.callback<{ readonly target: Target; readonly sockets: Set<Socket> }>((resume) => {
      const sockets = new Set<Socket>()
      const requests: Array<string> = []
      const arrived = Promise.withResolvers<void>()
      const closed = Promise.withResolvers<void>()
      server.on(event, (socket: Socket) => {
        sockets.add(socket)
        let index: number | undefined
        let isAnswered = false
        socket.on("error", () => {})
        socket.on("close", () => closed.resolve())
        socket.on("data", (data) => {
          index ??= requests.push("") - 1
          requests[index] += data.toString("latin1")
          if (isAnswered || !requests[index]?.includes(awaited)) return
          isAnswered = true
          arrived.resolve()
          behaviour(socket)
        })
      })
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        const port = typeof address === "string" ? 0 : (address?.port ?? 0)
        const url = `${scheme}://127.0.0.1:${port}/`
        const target = { port, url, requests, arrived: arrived.promise, closed: closed.promise }
        resume(Effect.succeed({ target, sockets }))
      })
    }),
    ({ sockets }) =>
      Effect.sync(() => {
        for (const socket of sockets) socket.destroy()
        server.close()
      })
  ).pipe(Effect.map(({ target }) => target))
