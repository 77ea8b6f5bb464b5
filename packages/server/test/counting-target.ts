/** One request as it came to the target. */
export interface Arrival {
  /** Milliseconds since 1970. */
  readonly arrivedAt: number
  readonly method: string
  /** Path and query. */
  readonly path: string
  readonly headers: Headers
  readonly body: string
}

export interface CountingTarget extends AsyncDisposable {
  /** Without a slash at the end. */
  readonly url: string
  /** For EGRESS_ALLOW. */
  readonly host: string
  /** How many requests have come. */
  readonly count: number
  /** The requests by their Idempotency-Key, which is the id of the call. */
  readonly byKey: ReadonlyMap<string, ReadonlyArray<Arrival>>
}

/** A target on loopback that keeps what arrives. It answers 200 and `ok`, unless `answer` says otherwise. */
export const countingTarget = (
  answer: (arrival: Arrival) => Response | Promise<Response> = () => new Response("ok")
): CountingTarget => {
  const byKey = new Map<string, Array<Arrival>>()
  let count = 0
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 0,
    fetch: async (request) => {
      const arrivedAt = Date.now()
      count++
      const key = request.headers.get("idempotency-key") ?? ""
      const arrivals = byKey.get(key) ?? []
      byKey.set(key, arrivals)
      const { pathname, search } = new URL(request.url)
      const { method, headers } = request
      // Noted before the body is read: a request whose sender dies in between has arrived all the same.
      const index = arrivals.push({ arrivedAt, method, path: pathname + search, headers, body: "" }) - 1
      const arrival = { arrivedAt, method, path: pathname + search, headers, body: await request.text() }
      arrivals[index] = arrival
      return answer(arrival)
    }
  })
  return {
    url: `http://127.0.0.1:${server.port}`,
    host: `127.0.0.1:${server.port}`,
    get count() {
      return count
    },
    byKey,
    [Symbol.asyncDispose]: () => server.stop(true)
  }
}
