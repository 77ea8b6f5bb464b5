import { join } from "node:path"
import { BODY, pathOf } from "../contender.ts"
import { load, type OpenPeer, post } from "./peer.ts"

interface Queue {
  readonly add: (name: string, data: { readonly url: string }, options: object) => Promise<unknown>
  readonly close: () => unknown
}

interface Worker {
  readonly on: (event: "completed", listener: () => void) => void
  readonly close: (force: boolean) => Promise<void>
}

interface Bunqueue {
  readonly Queue: new (name: string, options: object) => Queue
  readonly Worker: new (
    name: string,
    work: (job: { readonly data: { readonly url: string } }) => Promise<unknown>,
    options: object
  ) => Worker
}

const QUEUE = "bench"
const CONCURRENCY = 250
const BATCH_SIZE = 100
/** Waits for jobs instead of asking again and again: what its own benchmarks of delayed jobs use. */
const POLL_TIMEOUT_MS = 5_000

/** In the process of the program that uses it, which its documentation calls the fastest. */
export const open: OpenPeer = async ({ folder, targetUrl }) => {
  const library: Bunqueue = await load("bunqueue/client")
  const place = { embedded: true, dataPath: join(folder, "bunqueue.db") }
  const queue = new library.Queue(QUEUE, place)
  const worker = new library.Worker(QUEUE, ({ data }) => post(data.url, BODY), {
    ...place,
    concurrency: CONCURRENCY,
    batchSize: BATCH_SIZE,
    pollTimeout: POLL_TIMEOUT_MS
  })
  let finished = 0
  worker.on("completed", () => {
    finished++
  })
  return {
    submit: async (call) => {
      const delay = call.dueAt === null ? {} : { delay: Math.max(0, call.dueAt - Date.now()) }
      await queue.add("call", { url: targetUrl + pathOf(call) }, { durable: true, removeOnComplete: false, ...delay })
    },
    finished: () => finished,
    close: async () => {
      await worker.close(true)
      await queue.close()
    }
  }
}
