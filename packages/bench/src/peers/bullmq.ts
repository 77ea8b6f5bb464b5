import { BODY, pathOf } from "../contender.ts"
import { load, type OpenPeer, post } from "./peer.ts"

interface Queue {
  readonly add: (name: string, data: { readonly url: string }, options: { readonly delay?: number }) => Promise<unknown>
  readonly close: () => Promise<void>
}

interface Worker {
  readonly on: (event: "completed", listener: () => void) => void
  readonly waitUntilReady: () => Promise<unknown>
  readonly close: (force: boolean) => Promise<void>
}

interface BullMq {
  readonly Queue: new (name: string, options: object) => Queue
  readonly Worker: new (
    name: string,
    work: (job: { readonly data: { readonly url: string } }) => Promise<unknown>,
    options: object
  ) => Worker
}

const QUEUE = "bench"
/** What its documentation recommends at least for jobs that wait for others. From 32 to 500 it was as fast. */
const CONCURRENCY = 100

/** `completed` comes after Redis has answered, and with `appendfsync always` it answers after the fsync. */
export const open: OpenPeer = async ({ serverUrl, targetUrl }) => {
  const library: BullMq = await load("bullmq")
  const { hostname, port } = new URL(serverUrl)
  const connection = { host: hostname, port: Number(port), maxRetriesPerRequest: null }
  const queue = new library.Queue(QUEUE, { connection })
  const worker = new library.Worker(QUEUE, ({ data }) => post(data.url, BODY), { connection, concurrency: CONCURRENCY })
  let finished = 0
  worker.on("completed", () => {
    finished++
  })
  await worker.waitUntilReady()
  return {
    submit: async (call) => {
      const delay = call.dueAt === null ? {} : { delay: Math.max(0, call.dueAt - Date.now()) }
      await queue.add("call", { url: targetUrl + pathOf(call) }, delay)
    },
    finished: () => finished,
    close: async () => {
      await worker.close(true)
      await queue.close()
    }
  }
}
