import { mkdirSync, readdirSync } from "node:fs"
import { join, resolve } from "node:path"
import { parseArgs } from "node:util"
import { startService } from "./contenders/service.ts"
import { startTarget } from "./counting-target.ts"
import { cleanUpOnExit, temporaryFolder } from "./processes.ts"
import { type CpuProfile, costsOf } from "./profile-costs.ts"
import { MAIN_THREAD, threadCpuMs } from "./usage.ts"
import { performNow, warmUp } from "./workloads/measurement.ts"

/**
 * The account of a call: what it costs on each thread of the service under the workload `now`, and where the time of
 * the program's own thread goes, from Bun's sampling profiler in a second run:
 *
 *     bun packages/bench/src/profile.ts --calls 20000 --out /tmp/profile
 *
 * `--out` gets the profile for a viewer (.cpuprofile) and as text (.md).
 */
const { values } = parseArgs({
  options: { calls: { type: "string", default: "20000" }, out: { type: "string", default: "profile" } }
})
const CALLS = Number(values.calls)
const WARM_UP = 5_000
const CLIENTS = 64
const LINES = 40

/** Microseconds for a call, by thread. */
const measure = async (bunFlags: ReadonlyArray<string>) => {
  const target = await startTarget()
  const running = await startService({ folder: temporaryFolder().path, targetUrl: target.url }, bunFlags)
  const scene = { running, target }
  await warmUp(scene, WARM_UP, CLIENTS)
  const pid = running.pids[0] ?? 0
  const before = threadCpuMs(pid)
  const { tookMs } = await performNow(scene, WARM_UP, CALLS, CLIENTS)
  const threads = new Map(
    [...threadCpuMs(pid)].map(([name, ms]) => [name, ((ms - (before.get(name) ?? 0)) * 1_000) / CALLS])
  )
  const own = threads.get(MAIN_THREAD) ?? Number.NaN
  await running.stop()
  await target.end()
  return { threads, own, perSecond: (CALLS * 1_000) / tookMs, startedInMs: running.startedInMs }
}

cleanUpOnExit()
const out = resolve(values.out)
mkdirSync(out, { recursive: true })
const earlier = new Set(readdirSync(out))
const plain = await measure([])
const profiled = await measure(["--cpu-prof", "--cpu-prof-md", "--cpu-prof-dir", out])

const file = readdirSync(out).find((name) => name.endsWith(".cpuprofile") && !earlier.has(name))
if (file === undefined) throw new Error(`there is no profile in ${out}`)
const profile: CpuProfile = await Bun.file(join(out, file)).json()
const { sampledMs, areas, stages, places, functions } = costsOf(profile, profiled.startedInMs)
const sampled = (sampledMs * 1_000) / (CALLS + WARM_UP)
const total = [...plain.threads.values()].reduce((sum, one) => sum + one, 0)

const micros = (one: number) => `${one.toFixed(1)} µs`
const table = (head: string, rows: ReadonlyArray<readonly [name: string, micros: number]>, whole: number) =>
  [
    `\n| ${head} | a call | share |\n| --- | ---: | ---: |`,
    ...[...rows]
      .sort(([, a], [, b]) => b - a)
      .slice(0, LINES)
      .map(([name, one]) => `| ${name} | ${micros(one)} | ${((one / whole) * 100).toFixed(1)} % |`)
  ].join("\n")
/** Shares of the profile, in the time that the thread takes without the profiler. */
const inPlainTime = (costs: ReadonlyMap<string, number>) =>
  [...costs].map(([name, ms]) => [name, (ms / sampledMs) * plain.own] as const)

console.log(
  `${Math.round(plain.perSecond)} calls a second; a call costs ${micros(total)} of processor time on all threads.`
)
console.log(
  `Under the profiler ${Math.round(profiled.perSecond)} calls a second, ${micros(profiled.own)} on the program's own thread, of which ${micros(sampled)} were sampled.`
)
console.log(table("thread", [...plain.threads], total))
console.log(table(`on ${MAIN_THREAD}, by what a call goes through`, inPlainTime(stages), plain.own))
console.log(table("by what runs", inPlainTime(areas), plain.own))
console.log(table("by file of ours, with all it calls outside of ours", inPlainTime(places), plain.own))
console.log(table("function by itself", inPlainTime(functions), plain.own))
process.exit(0)
