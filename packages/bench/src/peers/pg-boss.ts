import { SQL } from "bun"
import { BODY, pathOf } from "../contender.ts"
import { load, type OpenPeer, post } from "./peer.ts"

interface Job {
  readonly data: { readonly url: string }
}

interface Boss {
  readonly on: (event: "error", listener: (error: unknown) => void) => void
  readonly start: () => Promise<unknown>
  readonly createQueue: (name: string, options: object) => Promise<void>
  readonly send: (name: string, data: object, options: { readonly startAfter?: Date }) => Promise<string | null>
  readonly work: (
    name: string,
    options: object,
    handler: (jobs: ReadonlyArray<Job>) => Promise<unknown>
  ) => Promise<string>
  readonly stop: (options: object) => Promise<void>
}

const QUEUE = "bench"
/** The shortest that it allows. */
const POLLING_INTERVAL_SECONDS = 0.5
const BATCH_SIZE = 500
/** They poll at different moments, so that more of them also shorten the wait. */
const WORKERS = 8

export const open: OpenPeer = async ({ serverUrl, targetUrl }) => {
  const { PgBoss }: { readonly PgBoss: new (options: object) => Boss } = await load("pg-boss")
  const boss = new PgBoss({ connectionString: serverUrl, max: 20 })
  boss.on("error", (error) => console.error(error))
  await boss.start()
  await boss.createQueue(QUEUE, { partition: true })
  const options = {
    batchSize: BATCH_SIZE,
    localConcurrency: WORKERS,
    pollingIntervalSeconds: POLLING_INTERVAL_SECONDS,
    priority: false,
    orderByCreatedOn: false
  }
  await boss.work(QUEUE, options, (jobs) => Promise.all(jobs.map(({ data }) => post(data.url, BODY))))
  const sql = new SQL(serverUrl, { max: 1 })
  const completed = async (): Promise<number> => {
    const [row] = await sql`SELECT count(*)::int AS calls FROM pgboss.job WHERE state = 'completed'`
    return row.calls
  }
  const before = await completed()
  return {
    submit: async (call) => {
      const due = call.dueAt === null ? {} : { startAfter: new Date(call.dueAt) }
      await boss.send(QUEUE, { url: targetUrl + pathOf(call) }, due)
    },
    finished: async () => (await completed()) - before,
    close: async () => {
      await sql.close()
      await boss.stop({ graceful: false })
    }
  }
}
