import { join } from "node:path"
import type { Call } from "./contender.ts"
import { startBun, until } from "./processes.ts"

export interface Arrivals {
  /** For each call with a due time, milliseconds from it to the arrival of its request, ascending. */
  readonly latenessMs: ReadonlyArray<number>
  /** Requests that came before the call was due. */
  readonly early: number
  /** Requests beyond one for each call. */
  readonly repeated: number
}

export interface CountingTarget {
  /** Without a slash at the end. */
  readonly url: string
  /** Waits until each call has arrived. */
  readonly untilArrived: (calls: number, deadlineMs: number) => Promise<void>
  readonly arrivals: (calls: ReadonlyArray<Call>) => Promise<Arrivals>
  readonly end: () => Promise<void>
}

/** Starts the target of one measurement. */
export const startTarget = async (): Promise<CountingTarget> => {
  const child = startBun([join(import.meta.dirname, "target.ts")])
  const url = `http://127.0.0.1:${(await child.ready()).trim()}`
  const read = async (path: string) => (await fetch(`${url}${path}`)).json()
  return {
    url,
    untilArrived: (calls, deadlineMs) =>
      until(`${calls} calls have arrived`, async () => (await read("/count")) >= calls, deadlineMs),
    arrivals: async (calls) => {
      const dueById = new Map(calls.map(({ id, dueAt }) => [id, dueAt]))
      const arrived: ReadonlyArray<readonly [id: number, count: number, at: number]> = await read("/arrivals")
      const latenessMs = arrived.flatMap(([id, , at]) => {
        const dueAt = dueById.get(id)
        return typeof dueAt === "number" ? [at - dueAt] : []
      })
      return {
        latenessMs: latenessMs.sort((a, b) => a - b),
        early: latenessMs.filter((late) => late < 0).length,
        repeated: arrived.reduce((sum, [, count]) => sum + count - 1, 0)
      }
    },
    end: child.end
  }
}
