import { ListenFailed } from "@event-service-agent/adapters/bun/http-server"
import { Effect } from "effect"

const ECHO_BODY_BYTES_MAX = 65_536

/**
 * A target for demos and first tries, on 127.0.0.1: `/echo` answers with what it got, `/status/503` with that status,
 * `/slow/2000` after that many milliseconds. Scoped; gives its port.
 */
export const serveEcho = (port: number) =>
  Effect.acquireRelease(
    Effect.try({
      try: () => Bun.serve({ hostname: "127.0.0.1", port, maxRequestBodySize: ECHO_BODY_BYTES_MAX, fetch: answer }),
      catch: (cause) => new ListenFailed({ message: explain(cause, port) })
    }),
    (server) => Effect.promise(() => server.stop(true))
  ).pipe(Effect.map((server) => server.port ?? port))

const explain = (cause: unknown, port: number): string => {
  const code = cause instanceof Error && "code" in cause ? cause.code : "for an unknown reason"
  return `The echo target cannot listen on port ${port} of 127.0.0.1, ${code}: choose another ECHO_PORT, or off`
}

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
