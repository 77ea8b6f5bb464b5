import { dirname } from "node:path"
import { works } from "./needs.ts"
import { parseTrace, type SystemCall } from "./trace.ts"

/** What a traced run has done, as its clients and its target have seen it. */
export interface Traced {
  readonly dbPath: string
  /** Files and folders that the run has created and that have to be there after a power cut. */
  readonly files: ReadonlyArray<string>
  readonly tenant: string
  readonly serviceCallIds: ReadonlyArray<string>
}

/** Arguments for strace, so that its output says what the check has to know. */
export const STRACE_ARGUMENTS = [
  // Its first thread is the child of whoever starts it: signals reach the program and not the tracer.
  "-D",
  "-f",
  "-yy",
  // A whole page of the database, and the head of every message.
  "--string-limit=4200",
  `--trace=${["openat", "mkdir", "mkdirat", "write", "writev", "pwrite64", "pwritev", "pwritev2", "sendto", "sendmsg", "sendmmsg", "fsync", "fdatasync"].map((name) => `?${name}`)}`
]

/** Why nothing can be traced, if so. */
export const straceMissing = (): string | undefined =>
  works("strace", "-D", "-f", "-o", "/dev/null", "true")
    ? undefined
    : "strace is missing or may not trace here; install it, or allow ptrace in the container"

const FRAME_HEADER_BYTES = 24
const WAL_HEADER_BYTES = 32

/**
 * Where a power cut could have broken a promise: a 202 or a request to the target left before what it rests on was
 * synced to the disk. That is the commit in the write-ahead log that first has the submission, or the claim.
 */
export const powerCutViolations = (trace: string, traced: Traced): ReadonlyArray<string> => {
  const calls = parseTrace(trace)
  const sent = calls.filter(({ on }) => on.startsWith("TCP"))
  const commits = commitsOf(calls, `${traced.dbPath}-wal`)

  const isBefore = (what: string, message: string, id: string, isPromise: (call: SystemCall) => boolean) => {
    const promise = sent.find(isPromise)
    if (promise === undefined) return [`${what} of ${id} is not in the trace`]
    const row = new RegExp(`${message}.{0,8}${traced.tenant}${id}`, "s")
    const commit = commits.find(({ pages }) => pages.some((page) => row.test(page)))
    if (commit === undefined) return [`no commit has the ${message} of ${id}`]
    return commit.syncedAt < promise.startedAt ? [] : [`${what} of ${id} left before its ${message} was synced`]
  }
  const ofCalls = traced.serviceCallIds.flatMap((id) => [
    ...isBefore("the 202", "ServiceCallSubmitted", id, ({ data }) => /^HTTP\/1.1 202 /.test(data) && data.includes(id)),
    ...isBefore("the request", "ExecutionStarted", id, ({ data }) => isRequest(data) && data.includes(id))
  ])
  const firstPromise = sent.find(({ data }) => data.startsWith("HTTP/1.1 202 "))?.startedAt ?? 0
  return [...ofCalls, ...traced.files.flatMap((file) => unsyncedEntry(calls, file, firstPromise))]
}

interface Commit {
  readonly pages: ReadonlyArray<string>
  readonly endedAt: number
  /** When a sync had ended that began after the commit's last write. */
  readonly syncedAt: number
}

/** The commits in a write-ahead log: frames, of which the last one says how many pages the database has now. */
const commitsOf = (calls: ReadonlyArray<SystemCall>, wal: string): ReadonlyArray<Commit> => {
  const syncs = calls.filter((call) => call.on === wal && isSync(call))
  const commits: Array<Commit> = []
  let pages: Array<string> = []
  let isLast = false
  for (const { on, name, data, endedAt } of calls) {
    if (on !== wal || !/^p?write/.test(name) || data.length === WAL_HEADER_BYTES) continue
    if (data.length === FRAME_HEADER_BYTES) {
      isLast = data.slice(4, 8) !== "\0\0\0\0"
      continue
    }
    pages.push(data)
    if (!isLast) continue
    const sync = syncs.find(({ startedAt }) => startedAt > endedAt)
    commits.push({ pages, endedAt, syncedAt: sync?.endedAt ?? Number.POSITIVE_INFINITY })
    pages = []
  }
  return commits
}

const isSync = ({ name, result }: SystemCall): boolean => /^f(data)?sync$/.test(name) && result === 0

const isRequest = (data: string): boolean => /^[A-Z]+ \S+ HTTP\/1.1\r\n/.test(data)

/** That a file is there is written in its folder, which has to be synced after the file was created. */
const unsyncedEntry = (calls: ReadonlyArray<SystemCall>, file: string, before: number): ReadonlyArray<string> => {
  const created = calls.find(
    ({ name, data, text, result }) =>
      data === file && result >= 0 && (/^mkdir/.test(name) || (name === "openat" && text.includes("O_CREAT")))
  )
  if (created === undefined) return [`the creation of ${file} is not in the trace`]
  const isKept = calls.some(
    (call) => call.on === dirname(file) && isSync(call) && call.startedAt > created.endedAt && call.endedAt < before
  )
  return isKept ? [] : [`a 202 left before the folder of ${file} was synced`]
}
