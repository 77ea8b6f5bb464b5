import { mkdirSync, readdirSync } from "node:fs"
import { join, resolve } from "node:path"
import { parseArgs } from "node:util"
import { startService } from "./contenders/service.ts"
import { startTarget } from "./counting-target.ts"
import { cleanUpOnExit, temporaryFolder } from "./processes.ts"
import { type CpuProfile, costsOf } from "./profile-costs.ts"
import { preciseCpuMs } from "./usage.ts"
import { performNow, warmUp } from "./workloads/measurement.ts"

/**
 * Where the time of a call goes in the service, from Bun's sampling profiler under the workload `now`:
 *
 *     bun packages/bench/src/profile.ts --calls 20000 --out /tmp/profile
 *
 * `--out` gets the profile for a viewer (.cpuprofile) and as text (.md).
 */
const { values } = parseArgs({
  options: { calls: { type: "string", default: "20000" }, out: { type: "string", default: "profile" } }
})
const CALLS = Number(values.calls)
const WARM_UP = 2_000
const CLIENTS = 64
const LINES = 40

cleanUpOnExit()
const out = resolve(values.out)
mkdirSync(out, { recursive: true })
const before = new Set(readdirSync(out))
const target = await startTarget()
const place = { folder: temporaryFolder().path, targetUrl: target.url }
const running = await startService(place, ["--cpu-prof", "--cpu-prof-md", "--cpu-prof-dir", out])
const scene = { running, target }
await warmUp(scene, WARM_UP, CLIENTS)
const pid = running.pids[0] ?? 0
const cpuBefore = preciseCpuMs(pid)
const { tookMs } = await performNow(scene, WARM_UP, CALLS, CLIENTS)
const cpuMicros = ((preciseCpuMs(pid) - cpuBefore) * 1_000) / CALLS
await running.stop()
await target.end()

const file = readdirSync(out).find((name) => name.endsWith(".cpuprofile") && !before.has(name))
if (file === undefined) throw new Error(`there is no profile in ${out}`)
const profile: CpuProfile = await Bun.file(join(out, file)).json()
const { sampledMs, areas, places, functions } = costsOf(profile, running.startedInMs)
const perCall = (ms: number) => `${((ms * 1_000) / (CALLS + WARM_UP)).toFixed(1)} µs`
const share = (ms: number) => `${((ms / sampledMs) * 100).toFixed(1)} %`
const table = (head: string, costs: ReadonlyMap<string, number>) =>
  [
    `\n| ${head} | a call | share |\n| --- | ---: | ---: |`,
    ...[...costs]
      .sort(([, a], [, b]) => b - a)
      .slice(0, LINES)
      .map(([name, ms]) => `| ${name} | ${perCall(ms)} | ${share(ms)} |`)
  ].join("\n")

console.log(`${Math.round((CALLS * 1_000) / tookMs)} calls a second under the profiler; a call costs`)
console.log(
  `${cpuMicros.toFixed(0)} µs of processor time on all threads, of which ${perCall(sampledMs)} were sampled on the main one.`
)
console.log(table("what runs", areas))
console.log(table("for which file of ours, with all it calls outside of ours", places))
console.log(table("function by itself", functions))
process.exit(0)
