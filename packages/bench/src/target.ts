/** The counting target, in a process of its own: answers at once and remembers when what arrived. */
const arrivals = new Map<string, { count: number; latenessMs: number }>()

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  fetch(request) {
    const url = new URL(request.url)
    if (url.pathname === "/arrivals") {
      const seen = [...arrivals.values()]
      arrivals.clear()
      return Response.json(seen)
    }
    const key = request.headers.get("idempotency-key") ?? ""
    const latenessMs = Date.now() - Number(url.searchParams.get("due"))
    const earlier = arrivals.get(key)
    arrivals.set(key, { count: (earlier?.count ?? 0) + 1, latenessMs: earlier?.latenessMs ?? latenessMs })
    return new Response("ok")
  }
})
console.log(server.port)
