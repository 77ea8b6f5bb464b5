import { HEADERS, PREFIX_DEFAULT, streamNames, subjectsOf } from "@event-service-agent/schemas/nats"
import { AckPolicy, type JetStreamManager, jetstreamManager } from "@nats-io/jetstream"
import { connect, headers, nanos } from "@nats-io/transport-node"

const READ_AT_ONCE = 500
const READ_MS_MAX = 1_000
const ANSWER_MS_MAX = 20_000

export const { work: WORK, events: EVENTS } = streamNames(PREFIX_DEFAULT)
const OBSERVER = "observer"

/** An event as somebody outside finds it. */
export interface SeenEvent {
  readonly messageId: string
  /** What the broker knows it by. */
  readonly publishId: string
  readonly type: string
  readonly serviceCallId: string
  readonly seq: number
  readonly isRepublished: boolean
}

/** Does something with the broker as its operator, over a connection of one's own. */
export const withManager = async <A>(url: string, use: (manager: JetStreamManager) => Promise<A>): Promise<A> => {
  const connection = await connect({ servers: url, timeout: ANSWER_MS_MAX })
  try {
    return await use(await jetstreamManager(connection, { timeout: ANSWER_MS_MAX }))
  } finally {
    await connection.close()
  }
}

/** Makes the place of an outside reader in the stream, which the broker keeps. */
export const addObserver = (url: string): Promise<unknown> =>
  withManager(url, (manager) =>
    manager.consumers.add(EVENTS, { durable_name: OBSERVER, ack_policy: AckPolicy.Explicit })
  )

/**
 * What the reader finds that it has not read, oldest first. The stream has to be quiet. A reader that is gone with its
 * stream begins at the start of the next.
 */
export const readEvents = async (url: string): Promise<ReadonlyArray<SeenEvent>> => {
  await addObserver(url)
  return withManager(url, async (manager) => {
    const consumer = await manager.jetstream().consumers.get(EVENTS, OBSERVER)
    const seen: Array<SeenEvent> = []
    for (;;) {
      const { num_pending, num_ack_pending } = await consumer.info()
      if (num_pending + num_ack_pending === 0) return seen
      for await (const message of await consumer.fetch({ max_messages: READ_AT_ONCE, expires: READ_MS_MAX })) {
        const header = (name: string): string => message.headers?.get(name) ?? ""
        const [type = "", serviceCallId = ""] = message.subject.split(".").slice(-2)
        seen.push({
          messageId: header(HEADERS.messageId),
          publishId: header("Nats-Msg-Id"),
          type,
          serviceCallId,
          seq: Number(header(HEADERS.seq)),
          isRepublished: header(HEADERS.republished) !== ""
        })
        await message.ackAck()
      }
    }
  })
}

/** How many messages the stream holds. */
export const countIn = (url: string, stream: string): Promise<number> =>
  withManager(url, async (manager) => (await manager.streams.info(stream)).state.messages)

/** Makes the window within which the broker knows what it has stored already as short as it gets in tests. */
export const shortenDuplicateWindows = (url: string, millis: number): Promise<void> =>
  withManager(url, async (manager) => {
    for (const stream of [WORK, EVENTS]) await manager.streams.update(stream, { duplicate_window: nanos(millis) })
  })

/**
 * Publishes every tenth message for the modules once more, under an id of which the broker knows nothing. Returns how to
 * stop it, which tells how many they were.
 */
export const repeatSomeWork = async (url: string): Promise<() => Promise<number>> => {
  const connection = await connect({ servers: url })
  let passed = 0
  let repeated = 0
  const again = new Set<string>()
  connection.subscribe(subjectsOf(PREFIX_DEFAULT).work, {
    callback: (error, message) => {
      const id = message.headers?.get("Nats-Msg-Id") ?? ""
      if (error !== null || again.has(id) || ++passed % 10 !== 0) return
      const copy = headers()
      for (const [name, [value = ""]] of message.headers ?? []) copy.set(name, value)
      const fresh = crypto.randomUUID()
      again.add(fresh)
      copy.set("Nats-Msg-Id", fresh)
      connection.publish(message.subject, message.data, { headers: copy })
      repeated++
    }
  })
  await connection.flush()
  return async () => {
    await connection.drain()
    return repeated
  }
}

/** Has the stream of events keep at most so much beyond what it holds. */
export const limitEvents = (url: string, moreBytes: number): Promise<unknown> =>
  withManager(url, async (manager) => {
    const { state } = await manager.streams.info(EVENTS)
    return manager.streams.update(EVENTS, { max_bytes: state.bytes + moreBytes })
  })
