import { service } from "../contenders/service.ts"
import { temporaryFolder } from "../processes.ts"
import { residentMiB } from "../usage.ts"
import { type Sizes, type Subject, type Workload, withThousands } from "../workload.ts"
import { performSpread } from "./due.ts"
import { idleUse } from "./idle.ts"
import { warmUp, withScene } from "./measurement.ts"
import { storeCalls } from "./stored-calls.ts"
import { FAR_MS } from "./submit.ts"

export const armed: Workload = {
  name: "armed",
  describe: ({ armed, due, duePerSecond }) =>
    `${service.name} with ${withThousands(armed)} calls armed for later, each with every row that a submission writes: lateness of ${withThousands(due)} calls due at ${duePerSecond} a second, start, memory and idle use`,
  figures: [
    { key: "p50", title: "lateness, p50", unit: "ms", better: "less" },
    { key: "p99", title: "lateness, p99", unit: "ms", better: "less" },
    { key: "start", title: "start", unit: "ms", better: "less" },
    { key: "memory", title: "memory after the start", unit: "MiB", better: "less" },
    { key: "memoryAfter", title: "memory after the calls", unit: "MiB", better: "less" },
    { key: "cpu", title: "idle use", unit: "% of a core", better: "less" }
  ],
  reference: () => nameOf(0),
  subjects: (contenders, sizes) =>
    contenders.some(({ name }) => name === service.name) ? [subject(0, sizes), subject(sizes.armed, sizes)] : []
}

const nameOf = (count: number): string => `${withThousands(count)} armed`

const subject = (count: number, sizes: Sizes): Subject => {
  const folder = temporaryFolder()
  return {
    name: nameOf(count),
    prepare: async () => {
      if (count > 0) await storeCalls(folder.path, count, Date.now() + FAR_MS)
    },
    measure: () =>
      withScene(
        service,
        async (scene) => {
          const pid = scene.running.pids[0] ?? 0
          const memory = residentMiB(pid)
          const cpu = await idleUse(scene.running, sizes.idleMs)
          const { perSecond } = await warmUp(scene, sizes.warmUp, sizes.clients)
          const { p50, p99, problems } = await performSpread(scene, sizes, perSecond)
          const { startedInMs } = scene.running
          return { values: { p50, p99, start: startedInMs, memory, memoryAfter: residentMiB(pid), cpu }, problems }
        },
        folder.path
      ),
    cleanUp: folder.remove
  }
}
