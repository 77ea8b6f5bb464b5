/**
 * The counting target, in a process of its own: answers at once and remembers when each call arrived. `/call?id=7` is a
 * call, `/count` tells how many different ones have come, and `/arrivals` everything.
 */
const countById = new Map<number, number>()
const firstAtById = new Map<number, number>()

/** Milliseconds since 1970 with a fraction, which `Date.now` does not have. */
const now = () => performance.timeOrigin + performance.now()

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  idleTimeout: 0,
  fetch(request) {
    const { url } = request
    const id = url.lastIndexOf("/call?id=")
    if (id >= 0) {
      const key = Number(url.slice(id + "/call?id=".length))
      const count = countById.get(key) ?? 0
      if (count === 0) firstAtById.set(key, now())
      countById.set(key, count + 1)
      return new Response("ok")
    }
    if (url.endsWith("/count")) return new Response(String(countById.size))
    return Response.json([...countById].map(([key, count]) => [key, count, firstAtById.get(key)]))
  }
})
console.log(server.port)
