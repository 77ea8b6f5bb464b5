import { cpuMs } from "../usage.ts"
import { type Workload, withThousands } from "../workload.ts"
import { fresh, performNow, warmUp } from "./measurement.ts"

export const now: Workload = {
  name: "now",
  describe: ({ now, clients, warmUp }) =>
    `${withThousands(now)} calls due at once, ${clients} clients, from the first submission to the last recorded outcome, after ${withThousands(warmUp)} calls to warm up`,
  figures: [
    { key: "perSecond", title: "calls a second", unit: "calls/s", better: "more" },
    { key: "cpuMicros", title: "processor time for a call", unit: "µs", better: "less" }
  ],
  reference: () => "floor",
  subjects: (contenders, sizes) =>
    contenders.map((contender) =>
      fresh(contender, async (scene) => {
        await warmUp(scene, sizes.warmUp, sizes.clients)
        const cpuBefore = cpuMs(scene.running.pids)
        const { tookMs } = await performNow(scene, sizes.warmUp, sizes.now, sizes.clients)
        const cpu = cpuMs(scene.running.pids) - cpuBefore
        return {
          values: { perSecond: (sizes.now * 1_000) / tookMs, cpuMicros: (cpu * 1_000) / sizes.now },
          problems: []
        }
      })
    )
}
