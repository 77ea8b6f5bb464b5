import { Effect } from "effect"

const ECHO_BODY_BYTES_MAX = 65_536

/**
 * A target for demos and first tries, on 127.0.0.1: `/echo` answers with what it got, `/status/503` with that status,
 * `/slow/2000` after that many milliseconds. Scoped. Gives its port, or null when another program has it: the service
 * works without.
 */
export const serveEcho = (port: number) =>
  Effect.acquireRelease(
    Effect.try(() =>
      Bun.serve({
        hostname: "127.0.0.1",
        port,
        reusePort: false,
        maxRequestBodySize: ECHO_BODY_BYTES_MAX,
        // Bun would cut a slow answer after 10 seconds of silence.
        idleTimeout: 0,
        fetch: answer
      })
    ),
    (server) => Effect.promise(() => server.stop(true))
  ).pipe(
    Effect.map((server) => server.port ?? port),
    Effect.catch(() =>
      Effect.as(
        Effect.logWarning(`no echo target: cannot listen on port ${port}. Set ECHO_PORT to another one, or to off`),
        null
      )
    )
  )

const answer = async (request: Request): Promise<Response> => {
  const url = new URL(request.url)
  const [, route, argument] = /^\/(echo|status|slow)(?:\/(\d{1,5}))?$/.exec(url.pathname) ?? []
  if (route === undefined) return Response.json({ error: "try /echo, /status/503 or /slow/2000" }, { status: 404 })
  if (route === "slow") await Bun.sleep(Math.min(Number(argument ?? 1_000), 60_000))
  const status = route === "status" ? Math.min(Math.max(Number(argument ?? 200), 200), 599) : 200
  const isBodiless = status === 204 || status === 205 || status === 304
  const echo = {
    method: request.method,
    path: url.pathname + url.search,
    headers: Object.fromEntries(request.headers),
    body: await request.text()
  }
  return isBodiless ? new Response(null, { status }) : Response.json(echo, { status })
}
