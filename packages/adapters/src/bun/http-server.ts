import { Stopping } from "@event-service-agent/platform/stopping"
import { Context, Effect, Layer, Schema, Scope } from "effect"
import { HttpEffect, HttpRouter, type HttpServerRequest } from "effect/http"
import { codeOf } from "../error-code.ts"

/** Bodies that Bun itself refuses, without a word. Above what the routes refuse with an explanation. */
export const BUN_BODY_BYTES_MAX = 8_388_608
/**
 * Seconds after which Bun closes a connection on which too little happens, whether it is silent or drips: measured, it
 * does so after 12 seconds unless a body comes in with more than 16 KB a second. It bounds neither the connections nor
 * what they may cost otherwise; heads of more than 16 KiB or 200 headers it refuses.
 */
export const IDLE_SECONDS_MAX = 10
/** The same for streams of events, which say something every 15 seconds: who takes none of it is gone or stuck. */
const STREAM_IDLE_SECONDS_MAX = 30
/** The same until an answer that the client would wait for, up to 60 seconds, is there. */
const WAITING_SECONDS_MAX = 70
/** How long answers that are under way may take when the listener closes. */
export const CLOSING_MS = 1_000

export interface BunHttpServerOptions {
  readonly host: string
  /** 0 takes any free port. */
  readonly port: number
  /** Milliseconds for answers under way when the listener closes; `CLOSING_MS` when absent. */
  readonly closingMs?: number
}

/** The server could not begin to listen. */
export class ListenFailed extends Schema.TaggedError<ListenFailed>()("ListenFailed", {
  message: Schema.String
}) {}

/**
 * The scope whose end closes the listener. Its layer is built before the modules and so outlasts them: whoever asks while
 * they finish their work is told so, rather than refused a connection.
 */
export class ListenerScope extends Context.Service<ListenerScope, Scope.Scope>()(
  "@event-service-agent/adapters/ListenerScope"
) {
  static readonly layer = Layer.effect(ListenerScope, Effect.scope)
}

/** An HTTP server for the routes of the router, until the listener's scope ends: then it lets answers under way finish. */
export class BunHttpServer extends Context.Service<
  BunHttpServer,
  {
    /** Where it listens, for example `http://127.0.0.1:3000/`. */
    readonly url: URL
  }
>()("@event-service-agent/adapters/BunHttpServer") {
  static readonly layer = (options: BunHttpServerOptions) =>
    Layer.effect(
      BunHttpServer,
      Effect.suspend(() => serve(options))
    )
}

const serve = Effect.fnUntraced(function* ({ host, port, closingMs = CLOSING_MS }: BunHttpServerOptions) {
  const router = yield* HttpRouter.HttpRouter
  const listenerScope = yield* ListenerScope
  const { modulesStopped } = yield* Stopping
  const context = yield* Effect.context<never>()
  const handle = HttpEffect.toWebHandlerWith<never, HttpServerRequest.HttpServerRequest | Scope.Scope>(context)(
    router.asHttpEffect()
  )
  const server = yield* Effect.acquireRelease(
    Effect.try({
      try: () =>
        Bun.serve({
          hostname: host,
          port,
          maxRequestBodySize: BUN_BODY_BYTES_MAX,
          idleTimeout: IDLE_SECONDS_MAX,
          development: false,
          // Outside of development Bun lets a second program listen on the same port, and share the requests.
          reusePort: false,
          fetch: (request, server) => {
            const waits = mayWait(request)
            if (waits) server.timeout(request, WAITING_SECONDS_MAX)
            return handle(request).then((response) => {
              // What is set stays for what comes next on the connection.
              if (isEventStream(response)) server.timeout(request, STREAM_IDLE_SECONDS_MAX)
              else if (waits) server.timeout(request, IDLE_SECONDS_MAX)
              return closeIfUnread(request, response)
            })
          }
        }),
      catch: (cause) => new ListenFailed({ message: explain(cause, host, port) })
    }),
    (server) =>
      Effect.andThen(
        modulesStopped.open,
        Effect.promise(() => server.stop())
      ).pipe(
        Effect.timeoutOrElse({
          duration: closingMs,
          orElse: () =>
            Effect.logWarning(`${server.pendingRequests} requests did not end in time and are cut off`).pipe(
              Effect.andThen(Effect.promise(() => server.stop(true)))
            )
        })
      )
  ).pipe(Scope.provide(listenerScope))
  return BunHttpServer.of({ url: server.url })
})

/** Whether the client may have asked for an answer that takes its time. */
const mayWait = ({ method, headers }: Request): boolean => method === "POST" && headers.has("prefer")

const isEventStream = ({ headers }: Response): boolean =>
  headers.get("content-type")?.startsWith("text/event-stream") === true

/** While a body is still coming in that nobody will read, Bun takes its connection for busy, and would not stop. */
const closeIfUnread = (request: Request, response: Response): Response => {
  if (!request.bodyUsed && request.body !== null) response.headers.set("connection", "close")
  return response
}

const explain = (cause: unknown, host: string, port: number): string => {
  switch (codeOf(cause)) {
    case "EADDRINUSE":
      return `Port ${port} of ${host} is taken by another program: stop that one, or choose another PORT`
    case "EACCES":
      return `Port ${port} of ${host} is not allowed for this user: choose a PORT above 1023`
    case "ENOENT":
    case "ENOTFOUND":
    case "EADDRNOTAVAIL":
      return `This machine has no address ${host}: choose another HOST`
    default:
      return `Cannot listen on port ${port} of ${host}: ${cause instanceof Error ? cause.message : String(cause)}`
  }
}
