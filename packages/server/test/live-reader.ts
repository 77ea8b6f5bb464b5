import { callsOf } from "./client.ts"
import type { Service } from "./process.ts"
import { until } from "./until.ts"

/** One server-sent event. */
export interface Live {
  /** Its place in the log. */
  readonly id: number
  readonly event: string
  readonly data: {
    readonly serviceCallId: string
    readonly type: string
    readonly version: number
    readonly timestamp: string
    readonly correlationId: string
    readonly payload: unknown
  }
}

/** What there is to know about a stream, rather than about a call. */
const SIGNS: ReadonlySet<string> = new Set(["ready", "reset", "heartbeat"])

export const isOfCall = ({ event }: Live): boolean => !SIGNS.has(event)

/** Follows a tenant's events over one connection, as an EventSource does, but that it does not come back by itself. */
export class LiveReader implements AsyncDisposable {
  readonly seen: Array<Live> = []
  /** When the stream has ended, whichever way. */
  readonly ended: Promise<void>
  hasEnded = false
  readonly #connection = new AbortController()

  private constructor(body: Promise<ReadableStream<Uint8Array<ArrayBuffer>> | null>) {
    this.ended = this.#read(body)
      .catch(() => {})
      .finally(() => {
        this.hasEnded = true
      })
  }

  /** Expects that the service takes one more reader, and waits for the event that begins the stream. */
  static async open(service: Service, tenant: string, headers: Readonly<Record<string, string>> = {}) {
    const opened = Promise.withResolvers<ReadableStream<Uint8Array<ArrayBuffer>> | null>()
    const reader = new LiveReader(opened.promise)
    const response = await service.fetch(`${callsOf(tenant)}/events`, { headers, signal: reader.#connection.signal })
    if (response.status !== 200) throw new Error(`the answer is ${response.status}: ${await response.text()}`)
    if (response.headers.get("content-type") !== "text/event-stream") throw new Error("it is no stream of events")
    opened.resolve(response.body)
    await until("the stream begins", () => reader.seen.length > 0)
    return reader
  }

  /** The last id, with which a reader goes on. */
  get lastId(): string {
    return String(this.seen.at(-1)?.id ?? "")
  }

  /** What was seen of calls. */
  get ofCalls(): ReadonlyArray<Live> {
    return this.seen.filter(isOfCall)
  }

  /** Ends the connection, as a network does. */
  async cut(): Promise<void> {
    this.#connection.abort()
    await this.ended
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.cut()
  }

  async #read(opened: Promise<ReadableStream<Uint8Array<ArrayBuffer>> | null>): Promise<void> {
    const body = await opened
    if (body === null) return
    const decoder = new TextDecoder()
    let rest = ""
    for await (const chunk of body) {
      const complete = (rest + decoder.decode(chunk, { stream: true })).split("\n\n")
      rest = complete.pop() ?? ""
      this.seen.push(...complete.filter((block) => block.trim() !== "").map(parse))
    }
  }
}

const parse = (block: string): Live => {
  const fields = new Map(
    block
      .trim()
      .split("\n")
      .map((line) => [line.slice(0, line.indexOf(": ")), line.slice(line.indexOf(": ") + 2)])
  )
  return {
    id: Number(fields.get("id")),
    event: fields.get("event") ?? "message",
    data: JSON.parse(fields.get("data") ?? "{}")
  }
}
