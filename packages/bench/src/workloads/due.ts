import { type Sizes, type Workload, withThousands } from "../workload.ts"
import { fresh, performDue, type Scene, warmUp } from "./measurement.ts"

export const due: Workload = {
  name: "due",
  describe: ({ due, duePerSecond, burst }) =>
    `lateness at the target: ${withThousands(due)} calls due at ${duePerSecond} a second, and ${withThousands(burst)} due at the same instant`,
  figures: [
    { key: "p50", title: "spread, p50", unit: "ms", better: "less" },
    { key: "p99", title: "spread, p99", unit: "ms", better: "less" },
    { key: "max", title: "spread, max", unit: "ms", better: "less" },
    { key: "burstP50", title: "at once, p50", unit: "ms", better: "less" },
    { key: "burstP99", title: "at once, p99", unit: "ms", better: "less" }
  ],
  reference: () => "floor",
  subjects: (contenders, sizes) =>
    contenders.map((contender) =>
      fresh(contender, async (scene) => {
        const { perSecond } = await warmUp(scene, sizes.warmUp, sizes.clients)
        const spread = await performSpread(scene, sizes, perSecond)
        const together = { firstId: sizes.warmUp + sizes.due, count: sizes.burst, offsetMs: () => 0 }
        const burst = await performDue(scene, together, sizes.clients, perSecond)
        const { p50, p99, max } = spread
        return {
          values: { p50, p99, max, burstP50: burst.p50, burstP99: burst.p99 },
          problems: [...spread.problems, ...burst.problems]
        }
      })
    )
}

/** The calls that come evenly. Takes the ids after those of the warm-up. */
export const performSpread = (scene: Scene, sizes: Sizes, perSecond: number) => {
  const offsetMs = (index: number) => Math.floor((index * 1_000) / sizes.duePerSecond)
  return performDue(scene, { firstId: sizes.warmUp, count: sizes.due, offsetMs }, sizes.clients, perSecond)
}
