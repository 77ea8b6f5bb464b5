import { Database } from "bun:sqlite"
import { mkdtempSync, rmSync } from "node:fs"
import { cpus, tmpdir } from "node:os"
import { join } from "node:path"

/**
 * First figures of the whole service over HTTP, each on a fresh database with the settings of `bun run start`: calls a
 * second until every outcome is recorded, and lateness at the target. Read them as ratios: machines are noisy.
 */
const NOW_CALLS = Number(process.env["CALLS"] ?? 10_000)
const CLIENTS = 64
const DUE_CALLS = 3_000
const DUE_PER_SECOND = 500
const ROUNDS = 3
const DEADLINE_MS = 120_000

const root = join(import.meta.dirname, "../../..")

interface Service {
  readonly url: string
  readonly dbPath: string
  readonly target: string
}

const main = async (): Promise<void> => {
  const throughput: Array<number> = []
  const accepted: Array<number> = []
  const lateness: Array<Percentiles> = []
  for (let round = 0; round < ROUNDS; round++) {
    const now = await withService(runNow)
    throughput.push(now.callsPerSecond)
    accepted.push(now.acceptedPerSecond)
    lateness.push(await withService(runDue))
  }
  console.log(`Bun ${Bun.version}, ${cpus().length} × ${cpus()[0]?.model}, median of ${ROUNDS} rounds\n`)
  console.log("| workload | figure |\n|---|---|")
  console.log(`| now: ${NOW_CALLS} calls, ${CLIENTS} clients | ${Math.round(median(throughput))} calls a second |`)
  console.log(`| the same, until the last 202 | ${Math.round(median(accepted))} submissions a second |`)
  const at = (pick: (one: Percentiles) => number) => `${median(lateness.map(pick))} ms`
  console.log(
    `| due: ${DUE_CALLS} calls at ${DUE_PER_SECOND} a second, lateness at the target | p50 ${at((one) => one.p50)}, p99 ${at((one) => one.p99)}, max ${at((one) => one.max)} |`
  )
}

const runNow = async (service: Service) => {
  const startedAt = performance.now()
  await submitAll(
    service,
    Array.from({ length: NOW_CALLS }, () => null)
  )
  const acceptedMs = performance.now() - startedAt
  await untilEnded(service, NOW_CALLS)
  const tookMs = performance.now() - startedAt
  await checkArrivals(service, NOW_CALLS)
  return { callsPerSecond: NOW_CALLS / (tookMs / 1_000), acceptedPerSecond: NOW_CALLS / (acceptedMs / 1_000) }
}

const runDue = async (service: Service): Promise<Percentiles> => {
  const firstDue = Date.now() + 5_000
  await submitAll(
    service,
    Array.from({ length: DUE_CALLS }, (_, index) => firstDue + Math.floor((index * 1_000) / DUE_PER_SECOND))
  )
  if (Date.now() > firstDue) throw new Error("the calls were not submitted before the first was due")
  await untilEnded(service, DUE_CALLS)
  const late = (await checkArrivals(service, DUE_CALLS)).sort((a, b) => a - b)
  if ((late[0] ?? 0) < 0) throw new Error(`a call arrived ${late[0]} ms early`)
  return { p50: at(late, 0.5), p99: at(late, 0.99), max: at(late, 1) }
}

/** @param dueTimes milliseconds since 1970, or null for now */
const submitAll = async ({ url, target }: Service, dueTimes: ReadonlyArray<number | null>): Promise<void> => {
  let next = 0
  const client = async () => {
    for (let index = next++; index < dueTimes.length; index = next++) {
      const due = dueTimes[index] ?? null
      const response = await fetch(`${url}api/tenants/bench/service-calls`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({
          name: `call ${index}`,
          ...(due === null ? {} : { dueAt: new Date(due).toISOString() }),
          requestSpec: {
            method: "POST",
            url: `${target}?due=${due ?? Date.now()}`,
            headers: { "content-type": "application/json" },
            body: '{"a":1}'
          }
        })
      })
      if (response.status !== 202) throw new Error(`submission ${index} got ${response.status}`)
      await response.arrayBuffer()
    }
  }
  await Promise.all(Array.from({ length: CLIENTS }, client))
}

const untilEnded = async ({ dbPath }: Service, calls: number): Promise<void> => {
  const database = new Database(dbPath, { readonly: true })
  const succeeded = database.query<{ calls: number }, []>(
    "SELECT count(*) AS calls FROM service_calls WHERE status = 'Succeeded'"
  )
  const deadline = Date.now() + DEADLINE_MS
  while ((succeeded.get()?.calls ?? 0) < calls) {
    if (Date.now() > deadline) throw new Error(`only ${succeeded.get()?.calls} of ${calls} calls succeeded`)
    await Bun.sleep(10)
  }
  database.close()
}

/** The lateness of each call, once it is sure that each arrived once. */
const checkArrivals = async ({ target }: Service, calls: number): Promise<Array<number>> => {
  const arrivals: Array<{ count: number; latenessMs: number }> = await (await fetch(`${target}/arrivals`)).json()
  const twice = arrivals.filter(({ count }) => count !== 1).length
  if (arrivals.length !== calls || twice > 0)
    throw new Error(`${arrivals.length} calls arrived, ${twice} of them twice`)
  return arrivals.map(({ latenessMs }) => latenessMs)
}

const withService = async <A>(use: (service: Service) => Promise<A>): Promise<A> => {
  const folder = mkdtempSync(join(tmpdir(), "event-service-bench-"))
  const dbPath = join(folder, "event_service.db")
  const target = start([join(import.meta.dirname, "target.ts")], {})
  const port = (await firstLine(target)).trim()
  const service = start([join(root, "packages/server/src/main.ts")], {
    DB_PATH: dbPath,
    PORT: "0",
    ECHO_PORT: "off",
    EGRESS_ALLOW: `127.0.0.1:${port}`,
    LOG_FORMAT: "json",
    BUN_CONFIG_MAX_HTTP_REQUESTS: "1000"
  })
  try {
    const ready = JSON.parse(await firstLine(service))
    return await use({ url: ready.annotations.url, dbPath, target: `http://127.0.0.1:${port}` })
  } finally {
    for (const child of [service, target]) child.kill()
    await Promise.all([service.exited, target.exited])
    rmSync(folder, { recursive: true })
  }
}

const start = (args: ReadonlyArray<string>, environment: Record<string, string>) =>
  Bun.spawn([process.execPath, ...args], { stdout: "pipe", stderr: "inherit", env: { ...process.env, ...environment } })

/** Reads on after the first line, so that the child never waits for its reader. */
const firstLine = (child: ReturnType<typeof start>): Promise<string> =>
  new Promise((resolve, reject) => {
    const read = async () => {
      let text = ""
      const decoder = new TextDecoder()
      for await (const chunk of child.stdout) {
        if (text.includes("\n")) continue
        text += decoder.decode(chunk, { stream: true })
        if (text.includes("\n")) resolve(text.split("\n")[0] ?? "")
      }
      reject(new Error("the process ended before it said anything"))
    }
    read().catch(reject)
  })

interface Percentiles {
  readonly p50: number
  readonly p99: number
  readonly max: number
}

const at = (sorted: ReadonlyArray<number>, share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN

const median = (values: ReadonlyArray<number>): number =>
  at(
    [...values].sort((a, b) => a - b),
    0.5
  )

await main()
