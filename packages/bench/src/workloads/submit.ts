import { percentile } from "../statistics.ts"
import { type Workload, withThousands } from "../workload.ts"
import { callsFrom, fresh, warmUp } from "./measurement.ts"

/** Far enough that none falls due meanwhile. */
export const FAR_MS = 30 * 86_400_000

export const submit: Workload = {
  name: "submit",
  describe: ({ submit, clients }) =>
    `${withThousands(submit)} submissions of calls for later, ${clients} clients, each acknowledged when it is durable`,
  figures: [
    { key: "perSecond", title: "submissions a second", unit: "calls/s", better: "more" },
    { key: "p50", title: "latency, p50", unit: "ms", better: "less" },
    { key: "p99", title: "latency, p99", unit: "ms", better: "less" }
  ],
  reference: () => "floor",
  subjects: (contenders, sizes) =>
    contenders.map((contender) =>
      fresh(contender, async (scene) => {
        await warmUp(scene, sizes.warmUp, sizes.clients)
        const farDue = Date.now() + FAR_MS
        const calls = callsFrom(sizes.warmUp, sizes.submit, (index) => farDue + index)
        const { tookMs, latenciesMs } = await scene.running.submit(calls, sizes.clients)
        return {
          values: {
            perSecond: (sizes.submit * 1_000) / tookMs,
            p50: percentile(latenciesMs, 0.5),
            p99: percentile(latenciesMs, 0.99)
          },
          problems: []
        }
      })
    )
}
