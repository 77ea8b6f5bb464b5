import type { Socket } from "bun"
import { BODY, type Call, pathOf, type Submitted } from "./contender.ts"

/** What to POST for a call. */
export interface Submission {
  readonly path: string
  readonly body: string
}

/** The body that the service takes, and the floor like it. */
export const submissionBody = (call: Call, targetUrl: string): string =>
  JSON.stringify({
    name: `call ${call.id}`,
    ...(call.dueAt === null ? {} : { dueAt: new Date(call.dueAt).toISOString() }),
    requestSpec: {
      method: "POST",
      url: targetUrl + pathOf(call),
      headers: { "content-type": "application/json" },
      body: BODY
    }
  })

/**
 * Submits over HTTP/1.1 on kept connections, one for each client. Written on the bare socket, because the client shares
 * the machine with what it measures: `fetch` would cost several times as much as the fastest server under test.
 *
 * @param expected the status that acknowledges
 */
export const submitOverHttp = async (
  origin: URL,
  calls: ReadonlyArray<Call>,
  clients: number,
  submissionOf: (call: Call) => Submission,
  expected: number
): Promise<Submitted> => {
  const connections = await Promise.all(Array.from({ length: Math.min(clients, calls.length) }, () => connect(origin)))
  const latenciesMs: Array<number> = []
  const rest = calls.values()
  const work = async (connection: Connection) => {
    for (const call of rest) {
      const { path, body } = submissionOf(call)
      const sentAt = performance.now()
      const status = await connection.post(path, body)
      latenciesMs.push(performance.now() - sentAt)
      if (status !== expected) throw new Error(`submission ${call.id} got ${status}: ${connection.latestAnswer}`)
    }
  }
  const startedAt = performance.now()
  try {
    await Promise.all(connections.map(work))
    return { tookMs: performance.now() - startedAt, latenciesMs: latenciesMs.sort((a, b) => a - b) }
  } finally {
    for (const connection of connections) connection.close()
  }
}

interface Connection {
  /** Gives the status of the answer. One request at a time. */
  readonly post: (path: string, body: string) => Promise<number>
  readonly latestAnswer: string
  readonly close: () => void
}

const HEAD_END = "\r\n\r\n"

const connect = async (origin: URL): Promise<Connection> => {
  let waiting = Promise.withResolvers<number>()
  let received = ""
  const take = (text: string) => {
    received += text
    const headEnd = received.indexOf(HEAD_END)
    if (headEnd < 0) return
    const length = /\r\ncontent-length: *(\d+)/i.exec(received.slice(0, headEnd))?.[1]
    if (length === undefined) return waiting.reject(new Error(`an answer without a length: ${received}`))
    // Answers are ASCII, so that characters are bytes.
    if (received.length >= headEnd + HEAD_END.length + Number(length)) {
      waiting.resolve(Number(received.slice("HTTP/1.1 ".length, "HTTP/1.1 200".length)))
    }
  }
  const fail = (reason: string) => waiting.reject(new Error(reason))
  const socket: Socket<undefined> = await Bun.connect({
    hostname: origin.hostname,
    port: Number(origin.port),
    socket: {
      data: (_, bytes) => take(bytes.toString("latin1")),
      close: () => fail(`the connection was closed after: ${received}`),
      error: (_, error) => fail(error.message)
    }
  })
  socket.setNoDelay(true)
  // Nobody waits between two requests.
  waiting.promise.catch(() => {})
  return {
    post: (path, body) => {
      waiting = Promise.withResolvers<number>()
      received = ""
      const head = `POST ${path} HTTP/1.1\r\nHost: ${origin.host}\r\nContent-Type: application/json\r\n`
      const request = `${head}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
      if (socket.write(request) < request.length) fail("the request did not fit into the socket's buffer")
      return waiting.promise
    },
    get latestAnswer() {
      return received
    },
    close: () => {
      waiting.promise.catch(() => {})
      socket.end()
    }
  }
}
