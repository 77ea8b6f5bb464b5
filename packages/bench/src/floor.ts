import { Database } from "bun:sqlite"

/**
 * What the work costs at the least: hand-written for nothing but speed, with the durability of the service. A call is
 * stored before its 202, claimed on disk before its request leaves, sent at most once, and its outcome stored.
 */
interface Row {
  readonly id: string
  readonly due_at: number
  readonly request: string
}

interface RequestSpec {
  readonly method: string
  readonly url: string
  readonly headers: Record<string, string>
  readonly body: string
}

/** As many calls under way as the service allows one tenant. */
const IN_FLIGHT_MAX = 250
const TIMEOUT_MS = 10_000
const SNIPPET_CHARACTERS_MAX = 8_192
/** `setTimeout` fires at once beyond 2^31 ms. */
const SLEEP_MS_MAX = 1_000_000_000

const database = new Database(process.env["DB_PATH"], { create: true, strict: true })
database.run("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")
database.run(`CREATE TABLE IF NOT EXISTS calls (
  id TEXT PRIMARY KEY, due_at INTEGER NOT NULL, status TEXT NOT NULL, request TEXT NOT NULL,
  claimed_at INTEGER, finished_at INTEGER, outcome TEXT
) STRICT, WITHOUT ROWID`)
const insert = database.prepare("INSERT INTO calls (id, due_at, status, request) VALUES (?, ?, 'Scheduled', ?)")
const claim = database.prepare(
  "UPDATE calls SET status = 'Running', claimed_at = ? WHERE id = ? AND status = 'Scheduled'"
)
const finish = database.prepare(
  "UPDATE calls SET status = ?, finished_at = ?, outcome = ? WHERE id = ? AND status = 'Running'"
)
const begin = database.prepare("BEGIN IMMEDIATE")
const commit = database.prepare("COMMIT")

/** Group commit: all writes that came together share one transaction, and with it one fsync. */
let waiting: Array<{ readonly write: () => unknown; readonly done: () => void }> = []
const durably = (write: () => unknown): Promise<void> =>
  new Promise((done) => {
    if (waiting.push({ write, done }) === 1) setImmediate(writeAll)
  })
const writeAll = () => {
  const batch = waiting
  waiting = []
  begin.run()
  for (const { write } of batch) write()
  commit.run()
  for (const { done } of batch) done()
}

/** A binary heap, the earliest due first. */
const heap: Array<Row> = []
const dueAt = (index: number) => heap[index]?.due_at ?? Number.POSITIVE_INFINITY
const swap = (a: number, b: number) => {
  const [first, second] = [heap[a], heap[b]]
  if (first === undefined || second === undefined) return
  heap[a] = second
  heap[b] = first
}
const push = (row: Row) => {
  let index = heap.push(row) - 1
  for (let parent = (index - 1) >> 1; index > 0 && dueAt(parent) > dueAt(index); parent = (index - 1) >> 1) {
    swap(parent, index)
    index = parent
  }
}
const pop = (): Row | undefined => {
  const top = heap[0]
  const last = heap.pop()
  if (last === undefined || heap.length === 0) return top
  heap[0] = last
  for (let index = 0; ; ) {
    const left = index * 2 + 1
    const earlier = dueAt(left + 1) < dueAt(left) ? left + 1 : left
    if (dueAt(earlier) >= dueAt(index)) return top
    swap(earlier, index)
    index = earlier
  }
}

let inFlight = 0
let timer: Timer | undefined
const release = () => {
  clearTimeout(timer)
  while (inFlight < IN_FLIGHT_MAX && dueAt(0) <= Date.now()) {
    const row = pop()
    if (row === undefined) return
    inFlight++
    perform(row).finally(() => {
      inFlight--
      release()
    })
  }
  if (heap.length > 0) timer = setTimeout(release, Math.min(Math.max(dueAt(0) - Date.now(), 0), SLEEP_MS_MAX))
}

const perform = async ({ id, request }: Row): Promise<void> => {
  await durably(() => claim.run(Date.now(), id))
  const outcome = await send(id, JSON.parse(request))
  await durably(() => finish.run(outcome.status, Date.now(), JSON.stringify(outcome), id))
}

/** With the options of the service's own client: one request on one connection, and nothing from the environment. */
const send = async (id: string, { method, url, headers, body }: RequestSpec) => {
  const startedAt = performance.now()
  try {
    const response = await fetch(url, {
      method,
      headers: { ...headers, "idempotency-key": id, "accept-encoding": "identity" },
      body,
      redirect: "manual",
      keepalive: false,
      decompress: false,
      proxy: false,
      verbose: false,
      signal: AbortSignal.timeout(TIMEOUT_MS)
    })
    const text = await response.text()
    const snippet = text.slice(0, SNIPPET_CHARACTERS_MAX)
    const latencyMs = Math.round(performance.now() - startedAt)
    return { status: response.ok ? "Succeeded" : "Failed", code: response.status, snippet, latencyMs }
  } catch (error) {
    return { status: "Failed", error: String(error) }
  }
}

for (const row of database.query<Row, []>("SELECT id, due_at, request FROM calls WHERE status = 'Scheduled'").all()) {
  push(row)
}
const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  fetch: async (incoming) => {
    const { requestSpec, dueAt: due } = await incoming.json()
    if (!URL.canParse(requestSpec?.url)) return Response.json({ error: "a URL is missing" }, { status: 422 })
    const row = {
      id: Bun.randomUUIDv7(),
      due_at: due ? Date.parse(due) : Date.now(),
      request: JSON.stringify(requestSpec)
    }
    await durably(() => insert.run(row.id, row.due_at, row.request))
    push(row)
    if (heap[0] === row) release()
    return Response.json(
      { id: row.id, status: "Scheduled" },
      { status: 202, headers: { location: `/calls/${row.id}` } }
    )
  }
})
process.on("SIGTERM", () => process.exit(0))
console.log(server.port)
release()
