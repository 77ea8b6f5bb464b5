import { readdirSync, readFileSync } from "node:fs"

/** Linux counts processor time in these, whatever the kernel's own clock. */
const TICKS_PER_SECOND = 100

/** Milliseconds of processor time that these processes and all their children have used. NaN where there is no /proc. */
export const cpuMs = (pids: ReadonlyArray<number>): number => {
  const stats = processTree(pids)
  const ticks = stats.reduce((sum, { ticks, endedChildrenTicks }) => sum + ticks + endedChildrenTicks, 0)
  return stats.length === 0 ? Number.NaN : (ticks * 1_000) / TICKS_PER_SECOND
}

/** The name of the thread that runs a program's own code. */
export const MAIN_THREAD = "the program's own thread"

/**
 * Milliseconds of processor time of one process's threads by their names, without its children, more finely counted
 * than in ticks. Empty where the kernel does not tell.
 */
export const threadCpuMs = (pid: number): ReadonlyMap<string, number> => {
  const threads = new Map<string, number>()
  for (const task of readdirOr(`/proc/${pid}/task`)) {
    const [nanos] = readOr(`/proc/${pid}/task/${task}/schedstat`, "NaN").split(" ")
    const name = Number(task) === pid ? MAIN_THREAD : readOr(`/proc/${pid}/task/${task}/comm`, "?").trim()
    threads.set(name, (threads.get(name) ?? 0) + Number(nanos) / 1e6)
  }
  return threads
}

/** Milliseconds of processor time of one process without its children. NaN where the kernel does not tell. */
export const preciseCpuMs = (pid: number): number => {
  const threads = [...threadCpuMs(pid).values()]
  return threads.length === 0 ? Number.NaN : threads.reduce((sum, one) => sum + one, 0)
}

/** Mebibytes of memory that one process has resident. NaN where there is no /proc. */
export const residentMiB = (pid: number): number => {
  const kilobytes = /VmRSS:\s+(\d+) kB/.exec(readOr(`/proc/${pid}/status`, ""))?.[1]
  return kilobytes === undefined ? Number.NaN : Number(kilobytes) / 1_024
}

interface Stat {
  readonly pid: number
  readonly parent: number
  readonly ticks: number
  /** Of children that are gone: PostgreSQL has helpers that live for a moment only. */
  readonly endedChildrenTicks: number
}

const processTree = (roots: ReadonlyArray<number>): ReadonlyArray<Stat> => {
  const all = readdirOr("/proc").flatMap((name) => (/^\d+$/.test(name) ? statOf(Number(name)) : []))
  const found: Array<Stat> = []
  for (let wanted = new Set(roots); wanted.size > 0; ) {
    const next = all.filter(({ pid }) => wanted.has(pid))
    found.push(...next)
    const parents = new Set(next.map(({ pid }) => pid))
    wanted = new Set(all.filter(({ parent }) => parents.has(parent)).map(({ pid }) => pid))
  }
  return found
}

/** The name of the program stands in brackets and may hold anything; the numbers follow. */
const statOf = (pid: number): ReadonlyArray<Stat> => {
  const text = readOr(`/proc/${pid}/stat`, "")
  const numbers = text
    .slice(text.lastIndexOf(")") + 4)
    .split(" ")
    .map(Number)
  const [parent] = numbers
  const [user, system, childUser, childSystem] = numbers.slice(10, 14)
  return parent === undefined || childSystem === undefined
    ? []
    : [{ pid, parent, ticks: (user ?? 0) + (system ?? 0), endedChildrenTicks: (childUser ?? 0) + childSystem }]
}

const readOr = (path: string, other: string): string => {
  try {
    return readFileSync(path, "utf8")
  } catch {
    return other
  }
}

const readdirOr = (path: string): ReadonlyArray<string> => {
  try {
    return readdirSync(path)
  } catch {
    return []
  }
}
