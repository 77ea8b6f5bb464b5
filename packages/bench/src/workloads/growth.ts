import { Database } from "bun:sqlite"
import { CALLS_PATH, databaseIn, type RunningService, service, startService } from "../contenders/service.ts"
import { startTarget } from "../counting-target.ts"
import { temporaryFolder } from "../processes.ts"
import { percentile } from "../statistics.ts"
import { type Sizes, type Subject, type Workload, withThousands } from "../workload.ts"
import { performNow, warmUp } from "./measurement.ts"
import { storeCalls } from "./stored-calls.ts"

export const growth: Workload = {
  name: "growth",
  describe: ({ growth, reads, clients }) =>
    `${service.name} with finished calls in its file: ${withThousands(growth)} more due at once, ${clients} clients, and ${reads} readings, one after the other, of a first page, of one by status, and of a call`,
  figures: [
    { key: "perSecond", title: "calls a second", unit: "calls/s", better: "more" },
    { key: "listP50", title: "list, p50", unit: "ms", better: "less" },
    { key: "listP99", title: "list, p99", unit: "ms", better: "less" },
    { key: "statusP99", title: "list by status, p99", unit: "ms", better: "less" },
    { key: "detailP50", title: "detail, p50", unit: "ms", better: "less" },
    { key: "detailP99", title: "detail, p99", unit: "ms", better: "less" },
    { key: "start", title: "start", unit: "ms", better: "less" }
  ],
  reference: ({ stored }) => nameOf(stored[0] ?? 0),
  subjects: (contenders, sizes) =>
    contenders.some(({ name }) => name === service.name) ? sizes.stored.map((count) => subject(count, sizes)) : []
}

const nameOf = (count: number): string => `${withThousands(count)} stored`

const subject = (count: number, sizes: Sizes): Subject => {
  const folder = temporaryFolder()
  return {
    name: nameOf(count),
    prepare: () => storeCalls(folder.path, count, null),
    measure: async () => {
      const target = await startTarget()
      const running = await startService({ folder: folder.path, targetUrl: target.url })
      try {
        const scene = { running, target }
        await warmUp(scene, sizes.warmUp, sizes.clients)
        const { tookMs } = await performNow(scene, sizes.warmUp, sizes.growth, sizes.clients)
        const ids = someIds(databaseIn(folder.path), sizes.reads)
        const list = await read(running, ids, () => "")
        const byStatus = await read(running, ids, () => "?status=Succeeded")
        const detail = await read(running, ids, (id) => `/${id}`)
        return {
          values: {
            perSecond: (sizes.growth * 1_000) / tookMs,
            listP50: percentile(list, 0.5),
            listP99: percentile(list, 0.99),
            statusP99: percentile(byStatus, 0.99),
            detailP50: percentile(detail, 0.5),
            detailP99: percentile(detail, 0.99),
            start: running.startedInMs
          },
          problems: []
        }
      } finally {
        await running.stop()
        await target.end()
      }
    },
    cleanUp: folder.remove
  }
}

/** Ids of calls from all over the table. */
const someIds = (dbPath: string, count: number): ReadonlyArray<string> => {
  using database = new Database(dbPath, { readonly: true })
  return database
    .query<{ id: string }, [number]>("SELECT service_call_id AS id FROM service_calls ORDER BY random() LIMIT ?")
    .all(count)
    .map(({ id }) => id)
}

/** Milliseconds of each reading, ascending. */
const read = async (
  { url }: RunningService,
  ids: ReadonlyArray<string>,
  pathOf: (id: string) => string
): Promise<ReadonlyArray<number>> => {
  const latencies: Array<number> = []
  for (const id of ids) {
    const startedAt = performance.now()
    const response = await fetch(new URL(CALLS_PATH + pathOf(id), url))
    await response.arrayBuffer()
    latencies.push(performance.now() - startedAt)
    if (!response.ok) throw new Error(`${response.url} answered ${response.status}`)
  }
  return latencies.sort((a, b) => a - b)
}
