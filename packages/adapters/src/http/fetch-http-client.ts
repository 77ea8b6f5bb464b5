import { isIP } from "node:net"
import { checkServerIdentity } from "node:tls"
import { EgressPolicy } from "@event-service-agent/platform/egress-policy"
import {
  type Answer,
  HttpClientPort,
  RESPONSE_BODY_BYTES_MAX,
  SendFailed
} from "@event-service-agent/platform/http-client-port"
import type { RequestSpec } from "@event-service-agent/schemas/http-request"
import {
  BODY_SNIPPET_BYTES_MAX,
  type FailureKind,
  RESPONSE_HEADER_CHARACTERS_MAX,
  type Sent
} from "@event-service-agent/schemas/outcome"
import { requestProblems } from "@event-service-agent/schemas/request-rules"
import { type Clock, Effect, Layer, Result } from "effect"
import { NetAddress } from "effect/net"
import { codeOf } from "../error-code.ts"
import { HostResolver } from "./host-resolver.ts"

/** Headers of an answer that are kept. */
export const RESPONSE_HEADERS_MAX = 100

/** Addresses of one name that are tried: each is a connection to somewhere, and the name's owner chooses how many. */
export const ADDRESSES_TRIED_MAX = 8

/**
 * Bun's fetch, held to one request, to an address that was judged.
 *
 * What it cannot tell: a body whose end is the end of the connection (neither Content-Length nor chunks) looks complete
 * also when the connection was reset. Endless interim answers, chunk extensions and trailers never reach this code:
 * the timeout alone ends them.
 */
export const layer = Layer.effect(
  HttpClientPort,
  Effect.gen(function* () {
    const policy = yield* EgressPolicy
    const resolver = yield* HostResolver
    // Starts Bun's client, with nobody there to reach: out of file descriptors, its first use would end the process.
    fetch.preconnect("http://127.0.0.1:1")

    return HttpClientPort.of({
      // Without a generator, a span or fibers of its own: those would cost more than all else that is done beside fetch.
      send: (request, { timeoutMs }) =>
        Effect.clockWith((clock) => {
          const progress = new Progress(clock, timeoutMs)
          const judged = policy.judgeUrl(request.url)
          const [problem] = requestProblems(request, Result.getOrUndefined(judged))
          if (problem !== undefined) {
            const message = `The request breaks a rule at ${problem.pointer}: ${problem.detail}`
            return progress.failed("RequestUnreadable", message)
          }
          if (Result.isFailure(judged)) return progress.failed("BlockedDestination", BLOCKED)
          const url = judged.success
          const host = hostOf(url)
          const sendTo = (addresses: ReadonlyArray<string>) =>
            addresses.every((address) => policy.mayReach(url, address))
              ? exchangeWithOneOf(addresses.slice(0, ADDRESSES_TRIED_MAX), request, url, progress)
              : progress.failed("BlockedDestination", BLOCKED)
          return isIP(host) === 0 ? Effect.flatMap(addressesOf(host, resolver, progress), sendTo) : sendTo([host])
        })
    })
  })
)

/** Between two looks for a free file descriptor. Until the timeout: idle clients must not make due calls fail. */
const DESCRIPTOR_RETRY_MS = 100

const USER_AGENT = "event-service-agent"
/** Below are interim answers, which fetch waits past, and numbers that HTTP does not have. */
const STATUS_MIN = 200
const BLOCKED =
  "The target has an address that may not be called from here. The operator can open it with EGRESS_ALLOW, on each executor"

/** How far a request has got: what a failure has to say about it. */
class Progress {
  sent: Sent = "no"
  sentAt: number | null = null
  status: number | undefined
  /** Nothing was sent, only because the process had no file descriptor left. */
  lacksDescriptor = false
  readonly clock: Clock.Clock
  readonly timeoutMs: number
  readonly #startedNanos: bigint

  constructor(clock: Clock.Clock, timeoutMs: number) {
    this.clock = clock
    this.timeoutMs = timeoutMs
    this.#startedNanos = clock.monotonicTimeNanosUnsafe()
  }

  /** Whole milliseconds until the timeout, which has come when there are none. */
  remainingMs(): number {
    return Math.ceil(this.timeoutMs - Number(this.clock.monotonicTimeNanosUnsafe() - this.#startedNanos) / 1e6)
  }

  timedOut(): SendFailed {
    return this.failed("Timeout", `No complete answer within ${this.timeoutMs} ms`)
  }

  failed(kind: FailureKind, message: string): SendFailed {
    return new SendFailed({
      kind,
      message,
      sent: this.sent,
      sentAt: this.sent === "no" ? null : this.sentAt,
      ...(this.status === undefined ? {} : { status: this.status })
    })
  }
}

/** The host of a URL, an IPv6 address without its brackets. */
const hostOf = ({ hostname }: URL) => (hostname.startsWith("[") ? hostname.slice(1, -1) : hostname)

const addressesOf = (host: string, resolver: HostResolver["Service"], progress: Progress) =>
  Effect.mapError(resolver.addressesOf(host), ({ code }) =>
    progress.failed("DnsFailed", `The host name could not be resolved${inBrackets(code)}`)
  ).pipe(Effect.timeoutOrElse({ duration: progress.timeoutMs, orElse: () => progress.timedOut() }))

/** A refused connection carried nothing, so the next address still gets the one request. */
const exchangeWithOneOf = (
  addresses: ReadonlyArray<string>,
  request: RequestSpec,
  url: URL,
  progress: Progress
): Effect.Effect<Answer, SendFailed> => {
  const [address, ...others] = addresses
  if (address === undefined) return progress.failed("DnsFailed", "The host name has no address")
  return Effect.catch(exchange(request, url, address, progress), (failure) => {
    if (progress.lacksDescriptor) {
      const again = Effect.suspend(() => exchangeWithOneOf(addresses, request, url, progress))
      return Effect.delay(again, Math.min(DESCRIPTOR_RETRY_MS, progress.remainingMs()))
    }
    const mayGoOn = failure.kind === "ConnectionFailed" && others.length > 0
    return mayGoOn ? exchangeWithOneOf(others, request, url, progress) : failure
  })
}

/** One request to one address. Whatever the end, the timeout and an interruption included, the connection is closed. */
const exchange = (request: RequestSpec, url: URL, address: string, progress: Progress) =>
  Effect.callback<Answer, SendFailed>((resume) => {
    progress.lacksDescriptor = false
    // A process that was stopped during the look-up finds both this and the timeout due, in any order.
    const remainingMs = progress.remainingMs()
    if (remainingMs <= 0) return resume(progress.timedOut())
    const pinned = address === hostOf(url) ? url : withHost(address, url)
    // A setter that refuses says nothing, and fetch would look the name up again.
    if (isIP(hostOf(pinned)) === 0) return resume(progress.failed("BlockedDestination", BLOCKED))
    const controller = new AbortController()
    const init = initOf(request, url, progress, controller.signal)
    const stop = () => {
      clearTimeout(timer)
      controller.abort()
    }
    const timer = setTimeout(() => {
      stop()
      resume(progress.timedOut())
    }, remainingMs)
    // Over TLS nothing leaves before the certificate is accepted.
    progress.sent = url.protocol === "https:" ? "no" : "maybe"
    receive(() => fetch(pinned, init), progress).then(
      (answer) => {
        // After a whole answer fetch has closed the connection already, and an abort would only cost time.
        if (answer.bodyBytes < RESPONSE_BODY_BYTES_MAX) clearTimeout(timer)
        else stop()
        resume(Effect.succeed(answer))
      },
      (cause) => {
        stop()
        resume(failureOf(cause, progress))
      }
    )
    return Effect.sync(stop)
  })

const withHost = (address: string, url: URL): URL => {
  const pinned = new URL(url)
  pinned.hostname = NetAddress.formatUrlHostString(address)
  return pinned
}

const initOf = (request: RequestSpec, url: URL, progress: Progress, signal: AbortSignal): BunFetchRequestInit => {
  const headers = new Headers(request.headers)
  headers.set("host", url.host)
  if (!headers.has("user-agent")) headers.set("user-agent", USER_AGENT)
  if (!headers.has("accept-encoding")) headers.set("accept-encoding", "identity")
  return {
    method: request.method,
    headers,
    body: request.body ? new TextEncoder().encode(request.body) : null,
    redirect: "manual",
    // On a pooled connection fetch sends a request again by itself, and so do its clients for HTTP/2 and HTTP/3.
    keepalive: false,
    protocol: "http1.1",
    decompress: false,
    // The environment must neither reroute a request, nor print it, nor end it.
    proxy: false,
    verbose: false,
    timeout: false,
    signal,
    tls: url.protocol === "https:" ? tlsOf(url, progress, signal) : { rejectUnauthorized: true }
  }
}

const tlsOf = (url: URL, progress: Progress, signal: AbortSignal): BunFetchRequestInitTLS => ({
  ...(isIP(hostOf(url)) === 0 ? { serverName: url.hostname.replace(/\.+$/, "") } : {}),
  rejectUnauthorized: true,
  checkServerIdentity: (host, certificate) => {
    // The failure already says that nothing was sent.
    if (signal.aborted) return new Error("aborted")
    const refusal = checkServerIdentity(host, certificate)
    if (refusal === undefined) progress.sent = "maybe"
    return refusal
  }
})

/** Such as 000. */
class UnreadableStatus extends Error {
  readonly code = "UnreadableStatus"
}

const receive = async (send: () => Promise<Response>, progress: Progress): Promise<Answer> => {
  const { clock } = progress
  const startedNanos = clock.monotonicTimeNanosUnsafe()
  const sentAt = clock.currentTimeMillisUnsafe()
  progress.sentAt = sentAt
  const response = await send()
  progress.sent = "yes"
  if (response.status < STATUS_MIN) throw new UnreadableStatus()
  progress.status = response.status
  const body = await readStart(response.body)
  return {
    sentAt,
    latencyMs: Math.round(Number(clock.monotonicTimeNanosUnsafe() - startedNanos) / 1e6),
    status: response.status,
    headers: [...response.headers]
      .slice(0, RESPONSE_HEADERS_MAX)
      .map(([name, value]) => [name, value.slice(0, RESPONSE_HEADER_CHARACTERS_MAX)] as const),
    ...body
  }
}

const readStart = async (body: ReadableStream<Uint8Array> | null): Promise<Pick<Answer, "bodyStart" | "bodyBytes">> => {
  const chunks: Array<Uint8Array> = []
  let kept = 0
  let bodyBytes = 0
  const reader = body?.getReader()
  while (reader !== undefined && bodyBytes < RESPONSE_BODY_BYTES_MAX) {
    const { done, value } = await reader.read()
    if (done) break
    const start = value.subarray(0, BODY_SNIPPET_BYTES_MAX - kept)
    if (start.byteLength > 0) chunks.push(start)
    kept += start.byteLength
    bodyBytes = Math.min(bodyBytes + value.byteLength, RESPONSE_BODY_BYTES_MAX)
  }
  return { bodyStart: Buffer.concat(chunks), bodyBytes }
}

/** Failures to connect: the request cannot have left. */
const NOT_CONNECTED = new Set([
  "ECONNREFUSED",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "EADDRNOTAVAIL",
  "EAFNOSUPPORT",
  "EHOSTDOWN",
  "EINVAL",
  "ENETDOWN",
  "EACCES",
  "EPERM",
  "EMFILE",
  "ENFILE"
])
const NO_DESCRIPTOR = new Set(["EMFILE", "ENFILE"])

const failureOf = (cause: unknown, progress: Progress): SendFailed => {
  const code = inBrackets(codeOf(cause))
  if (progress.sent !== "yes" && NOT_CONNECTED.has(codeOf(cause))) {
    progress.sent = "no"
    progress.lacksDescriptor = NO_DESCRIPTOR.has(codeOf(cause))
    return progress.failed("ConnectionFailed", `The connection could not be made${code}`)
  }
  return progress.sent === "no"
    ? progress.failed("TlsFailed", `The TLS connection could not be made${code}`)
    : progress.failed("ConnectionClosed", `The connection ended before a complete answer${code}`)
}

/** Of an error only the code is for people: messages have the address in them. */
const inBrackets = (code: string): string => (code === "" ? "" : ` (${code})`)
