import { service } from "./contenders/service.ts"
import type { Figure, Results } from "./results.ts"

export interface Goal {
  readonly goal: string
  readonly measured: string
  readonly isReached: boolean
}

/** The goals of design.md, as far as the run has measured them. */
export const goalsOf = (results: Results): ReadonlyArray<Goal> => {
  const figure = (workload: string, subject: string, key: string): Figure | undefined =>
    results.workloads.find(({ name }) => name === workload)?.subjects.find(({ name }) => name === subject)?.figures[key]
  const ours = (workload: string, key: string) => figure(workload, service.name, key)
  const armed = (key: string) =>
    figure("armed", results.workloads.find(({ name }) => name === "armed")?.subjects.at(-1)?.name ?? "", key)

  const best = bestPeer(results)
  const now = ours("now", "perSecond")
  return [
    ...goal(now?.ratio, "calls a second: at least half of the floor", (ratio) => ratio >= 0.5, "× the floor"),
    ...goal(
      now === undefined || best === undefined ? undefined : now.median / best.perSecond,
      "calls a second: at least 1.5 × the best peer",
      (ratio) => ratio >= 1.5,
      `× ${best?.name}`
    ),
    ...goal(ours("due", "p99")?.median, "lateness at 500 a second, p99: at most 10 ms", (ms) => ms <= 10, "ms"),
    ...goal(armed("p99")?.ratio, "lateness with all calls armed, p99: at most 1.2 × of none", (r) => r <= 1.2, "×"),
    ...goal(ours("idle", "cpu")?.median, "idle: under 0.5 % of a core", (percent) => percent < 0.5, "%"),
    ...goal(armed("memory")?.median, "memory with all calls armed: under 300 MB", (mib) => mib < 286, "MiB"),
    ...goal(ours("size", "perCall")?.median, "disk for a finished call: under 4 KiB", (bytes) => bytes < 4_096, "bytes")
  ]
}

const goal = (
  value: number | undefined,
  text: string,
  isReached: (value: number) => boolean,
  unit: string
): ReadonlyArray<Goal> =>
  value === undefined
    ? []
    : [{ goal: text, measured: `${Number(value.toPrecision(3))} ${unit}`, isReached: isReached(value) }]

const bestPeer = ({ workloads }: Results): { readonly name: string; readonly perSecond: number } | undefined =>
  workloads
    .find(({ name }) => name === "now")
    ?.subjects.filter(({ name }) => name !== service.name && name !== "floor")
    .flatMap(({ name, figures }) => {
      const perSecond = figures["perSecond"]?.median
      return perSecond === undefined ? [] : [{ name, perSecond }]
    })
    .sort((a, b) => b.perSecond - a.perSecond)[0]
