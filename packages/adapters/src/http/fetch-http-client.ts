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
import { Clock, Effect, Exit, Layer, Result, Schedule } from "effect"
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

    const perform = Effect.fnUntraced(function* (request: RequestSpec, progress: Progress) {
      const [problem] = requestProblems(request)
      if (problem !== undefined) {
        const message = `The request breaks a rule at ${problem.pointer}: ${problem.detail}`
        return yield* progress.failed("RequestUnreadable", message)
      }
      const judged = policy.judgeUrl(request.url)
      if (Result.isFailure(judged)) return yield* progress.failed("BlockedDestination", BLOCKED)
      const url = judged.success
      const host = hostOf(url)
      const addresses = isIP(host) === 0 ? yield* addressesOf(host, resolver, progress) : [host]
      if (!addresses.every((address) => policy.mayReach(url, address))) {
        return yield* progress.failed("BlockedDestination", BLOCKED)
      }
      // A refused connection carried nothing, so the next address still gets the one request.
      const [first, ...others] = addresses.slice(0, ADDRESSES_TRIED_MAX).map((address) =>
        Effect.retry(exchange(request, url, address, progress), {
          while: () => progress.lacksDescriptor,
          schedule: Schedule.spaced(DESCRIPTOR_RETRY_MS)
        })
      )
      if (first === undefined) return yield* progress.failed("DnsFailed", "The host name has no address")
      return yield* others.reduce(
        (before, other) =>
          Effect.catchIf(
            before,
            ({ kind }) => kind === "ConnectionFailed",
            () => other
          ),
        first
      )
    })

    return HttpClientPort.of({
      send: Effect.fn("HttpClient.send")(function* (request, { timeoutMs }) {
        const progress = new Progress(yield* Clock.monotonicTimeNanos, timeoutMs)
        return yield* Effect.timeoutOrElse(perform(request, progress), {
          duration: timeoutMs,
          orElse: () => progress.timedOut()
        })
      })
    })
  })
)

/** Between two looks for a free file descriptor. Until the timeout: idle clients must not make due calls fail. */
const DESCRIPTOR_RETRY_MS = 100

const USER_AGENT = "event-service-agent"
/** Below are interim answers, which fetch waits past, and numbers that HTTP does not have. */
const STATUS_MIN = 200
const BLOCKED = "The target is not one that this service may call"

/** How far a request has got: what a failure has to say about it. */
class Progress {
  sent: Sent = "no"
  sentAt: number | null = null
  status: number | undefined
  /** Nothing was sent, only because the process had no file descriptor left. */
  lacksDescriptor = false
  readonly #startedNanos: bigint
  readonly #timeoutMs: number

  constructor(startedNanos: bigint, timeoutMs: number) {
    this.#startedNanos = startedNanos
    this.#timeoutMs = timeoutMs
  }

  isTooLate(nowNanos: bigint): boolean {
    return Number(nowNanos - this.#startedNanos) >= this.#timeoutMs * 1e6
  }

  timedOut(): SendFailed {
    return this.failed("Timeout", `No complete answer within ${this.#timeoutMs} ms`)
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
const hostOf = (url: URL) => url.hostname.replace(/^\[(.*)\]$/, "$1")

const addressesOf = (host: string, resolver: HostResolver["Service"], progress: Progress) =>
  Effect.mapError(resolver.addressesOf(host), ({ code }) =>
    progress.failed("DnsFailed", `The host name could not be resolved${inBrackets(code)}`)
  )

/** One request to one address. Whatever the end, the connection is closed. */
const exchange = (request: RequestSpec, url: URL, address: string, progress: Progress) =>
  Effect.clockWith((clock) => {
    // A process that was stopped during the look-up finds both this and the timeout due, in any order.
    if (progress.isTooLate(clock.monotonicTimeNanosUnsafe())) return progress.timedOut()
    progress.lacksDescriptor = false
    const controller = new AbortController()
    const pinned = new URL(url)
    pinned.hostname = NetAddress.formatUrlHostString(address)
    // A setter that refuses says nothing, and fetch would look the name up again.
    if (isIP(hostOf(pinned)) === 0) return progress.failed("BlockedDestination", BLOCKED)
    const init = initOf(request, url, progress, controller.signal)
    // Over TLS nothing leaves before the certificate is accepted.
    progress.sent = url.protocol === "https:" ? "no" : "maybe"
    return Effect.tryPromise({
      try: () => receive(() => fetch(pinned, init), progress, clock),
      catch: (cause) => failureOf(cause, progress)
    }).pipe(
      // After a whole answer fetch has closed the connection already, and an abort would only cost time.
      Effect.onExit((exit) =>
        Exit.isSuccess(exit) && exit.value.bodyBytes < RESPONSE_BODY_BYTES_MAX
          ? Effect.void
          : Effect.sync(() => controller.abort())
      )
    )
  })

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
    tls: {
      ...(isIP(hostOf(url)) === 0 ? { serverName: url.hostname.replace(/\.+$/, "") } : {}),
      rejectUnauthorized: true,
      checkServerIdentity: (host, certificate) => {
        // The failure already says that nothing was sent.
        if (signal.aborted) return new Error("aborted")
        const refusal = checkServerIdentity(host, certificate)
        if (refusal === undefined) progress.sent = "maybe"
        return refusal
      }
    }
  }
}

/** Such as 000. */
class UnreadableStatus extends Error {
  readonly code = "UnreadableStatus"
}

const receive = async (send: () => Promise<Response>, progress: Progress, clock: Clock.Clock): Promise<Answer> => {
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
