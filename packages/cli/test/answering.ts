/** Something that answers, as it is told, and keeps what was asked. What the real service cannot be made to say. */
export const answering = (answer: (request: Request) => Response) => {
  /** The Authorization header of each request. */
  const asked: Array<string | null> = []
  /** Path and query of each request. */
  const paths: Array<string> = []
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: (request) => {
      const { pathname, search } = new URL(request.url)
      asked.push(request.headers.get("authorization"))
      paths.push(pathname + search)
      return answer(request)
    }
  })
  return { url: `http://127.0.0.1:${server.port}`, asked, paths, [Symbol.asyncDispose]: () => server.stop(true) }
}

export const problem = (status: number, fields: object = {}, headers: Readonly<Record<string, string>> = {}) =>
  new Response(JSON.stringify({ type: "urn:event-service-agent:problem:x", status, title: "A title", ...fields }), {
    status,
    headers: { "content-type": "application/problem+json", ...headers }
  })
