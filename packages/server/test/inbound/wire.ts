import { connect, type Socket } from "node:net"

/** An answer as it came over the wire. */
export interface WireAnswer {
  readonly status: number
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>
  readonly body: string
}

export interface WireRequest {
  readonly bytes: Uint8Array
  /** A HEAD has an answer without the body that its headers announce. */
  readonly isHead: boolean
}

/** Why there was no answer. */
export class NoAnswer extends Error {}

/** A connection that asks one thing after the other, byte for byte as it is told. It reconnects when it was closed. */
export class Wire implements Disposable {
  readonly #port: number
  #socket: Socket | undefined

  /** @param url of a server on this machine */
  constructor(url: string) {
    this.#port = Number(new URL(url).port)
  }

  /** The answer, or a rejection with `NoAnswer`, when the connection ends before it or it takes too long. */
  async ask({ bytes, isHead }: WireRequest, timeoutMs = 30_000): Promise<WireAnswer> {
    const { promise, resolve, reject } = Promise.withResolvers<WireAnswer>()
    const socket = this.#socket ?? this.#connect()
    const chunks: Array<Buffer> = []
    const fail = (why: string) => {
      this[Symbol.dispose]()
      reject(new NoAnswer(why))
    }
    const timer = setTimeout(() => fail(`no answer within ${timeoutMs} ms`), timeoutMs)
    const onData = (chunk: Buffer) => {
      chunks.push(chunk)
      const answer = parse(Buffer.concat(chunks), isHead)
      if (answer === undefined) return
      if (answer.headers.get("connection") === "close" || isEndless(answer)) this[Symbol.dispose]()
      resolve(answer)
    }
    const onError = (error: Error) => fail(error.message)
    const onClose = () => fail("the connection was closed")
    socket.on("data", onData).on("error", onError).on("close", onClose)
    socket.write(bytes)
    try {
      return await promise
    } finally {
      clearTimeout(timer)
      socket.off("data", onData).off("error", onError).off("close", onClose)
    }
  }

  [Symbol.dispose](): void {
    this.#socket?.destroy()
    this.#socket = undefined
  }

  #connect(): Socket {
    const socket = connect(this.#port, "127.0.0.1")
    this.#socket = socket
    // Between two requests the server may close it.
    socket
      .on("error", () => {})
      .on("close", () => {
        if (this.#socket === socket) this.#socket = undefined
      })
    return socket
  }
}

const EXCHANGE_MS_MAX = 20_000

/**
 * Writes the pieces one after the other, and gives all that comes back until the server closes the connection.
 *
 * @param end whether this side ends first, after the last piece
 */
export const exchange = async (url: string, pieces: ReadonlyArray<Uint8Array>, end: boolean): Promise<Exchange> => {
  const { promise, resolve } = Promise.withResolvers<boolean>()
  const chunks: Array<Buffer> = []
  const socket = connect({ port: Number(new URL(url).port), host: "127.0.0.1", allowHalfOpen: true })
  const timer = setTimeout(resolve, EXCHANGE_MS_MAX, false)
  socket
    .on("data", (chunk: Buffer) => chunks.push(chunk))
    // A reset is a way of closing, too.
    .on("error", () => resolve(true))
    .on("end", () => resolve(true))
    .on("close", () => resolve(true))
  for (const piece of pieces) {
    socket.write(piece)
    await new Promise(setImmediate)
  }
  if (end) socket.end()
  const isClosed = await promise
  clearTimeout(timer)
  socket.destroy()
  return { isClosed, text: Buffer.concat(chunks).toString("latin1") }
}

export interface Exchange {
  readonly isClosed: boolean
  /** One character for each byte. */
  readonly text: string
}

/** The statuses of all answers in a text, without those that only announce another one. */
export const statusesIn = (text: string): ReadonlyArray<number> =>
  [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status)).filter((status) => status >= 200)

const HEAD_END = "\r\n\r\n"

/** The answer that the bytes begin with; `undefined` while some of it is missing. */
const parse = (bytes: Buffer, isHead: boolean): WireAnswer | undefined => {
  const headEnd = bytes.indexOf(HEAD_END)
  if (headEnd === -1) return undefined
  const [first = "", ...lines] = bytes.toString("latin1", 0, headEnd).split("\r\n")
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(first)?.[1])
  const rest = bytes.subarray(headEnd + HEAD_END.length)
  if (status === 100) return parse(rest, isHead)
  const headers = new Map(
    lines.map((line) => [line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 1).trim()])
  )
  if (!isHead && headers.get("transfer-encoding") === "chunked") {
    const { body, hasEnded } = dechunk(rest)
    const isThere = hasEnded || (isEndless({ headers }) && body.includes("\n\n"))
    return isThere ? { status, headers, body } : undefined
  }
  const length = isHead ? 0 : Number(headers.get("content-length") ?? 0)
  return rest.byteLength < length ? undefined : { status, headers, body: rest.toString("utf8", 0, length) }
}

/** A stream of events has no end: its first event is taken for the whole answer. */
const isEndless = ({ headers }: Pick<WireAnswer, "headers">): boolean =>
  headers.get("content-type")?.startsWith("text/event-stream") === true

/** The chunks that are complete, and whether the last one is among them. */
const dechunk = (bytes: Buffer): { readonly body: string; readonly hasEnded: boolean } => {
  const chunks: Array<Buffer> = []
  for (let at = 0; ; ) {
    const lineEnd = bytes.indexOf("\r\n", at)
    const size = lineEnd === -1 ? Number.NaN : Number.parseInt(bytes.toString("latin1", at, lineEnd), 16)
    const start = lineEnd + 2
    const isComplete = bytes.byteLength >= start + size + 2
    if (!isComplete || size === 0) return { body: Buffer.concat(chunks).toString("utf8"), hasEnded: isComplete }
    chunks.push(bytes.subarray(start, start + size))
    at = start + size + 2
  }
}
