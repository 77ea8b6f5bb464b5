import { SQL } from "bun"
import { BODY, pathOf } from "../contender.ts"
import { load, type OpenPeer, post } from "./peer.ts"

interface Utils {
  readonly addJob: (task: string, payload: object, options: { readonly runAt?: Date }) => Promise<unknown>
  readonly release: () => Promise<void>
}

interface GraphileWorker {
  readonly run: (options: object) => Promise<{ readonly stop: () => Promise<void> }>
  readonly makeWorkerUtils: (options: object) => Promise<Utils>
  readonly Logger: new (factory: () => () => void) => object
}

const CONCURRENCY = 100
/** As in its documentation of its own performance. */
const LOCAL_QUEUE_SIZE = 500
/** Jobs for later are found by polling alone. */
const POLL_INTERVAL_MS = 50

/** It deletes a job that is done, so what is submitted and gone has its outcome stored. */
export const open: OpenPeer = async ({ serverUrl, targetUrl }) => {
  const library: GraphileWorker = await load("graphile-worker")
  const call = (payload: { readonly url: string }) => post(payload.url, BODY)
  const runner = await library.run({
    preset: {
      worker: {
        connectionString: serverUrl,
        concurrentJobs: CONCURRENCY,
        maxPoolSize: 20,
        pollInterval: POLL_INTERVAL_MS,
        localQueue: { size: LOCAL_QUEUE_SIZE },
        completeJobBatchDelay: 0,
        failJobBatchDelay: 0,
        logger: new library.Logger(() => () => {})
      }
    },
    taskList: { call },
    noHandleSignals: true
  })
  // With connections of its own, so that submissions do not wait for the worker.
  const utils = await library.makeWorkerUtils({ connectionString: serverUrl, maxPoolSize: 8 })
  const sql = new SQL(serverUrl, { max: 1 })
  const left = async (): Promise<number> => {
    const [row] = await sql`SELECT count(*)::int AS calls FROM graphile_worker._private_jobs`
    return row.calls
  }
  let submitted = await left()
  return {
    submit: async (call) => {
      const due = call.dueAt === null ? {} : { runAt: new Date(call.dueAt) }
      await utils.addJob("call", { url: targetUrl + pathOf(call) }, due)
      submitted++
    },
    finished: async () => submitted - (await left()),
    close: async () => {
      await sql.close()
      await utils.release()
      await runner.stop()
    }
  }
}
