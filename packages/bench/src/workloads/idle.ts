import type { Running } from "../contender.ts"
import { cpuMs } from "../usage.ts"
import { type Workload, withThousands } from "../workload.ts"
import { callsFrom, fresh, warmUp } from "./measurement.ts"
import { FAR_MS } from "./submit.ts"

/** After work, until collectors and checkpoints are through: it took the service half a minute to give its memory back. */
const SETTLE_MS = 30_000

export const idle: Workload = {
  name: "idle",
  describe: ({ idleArmed, idleMs }) =>
    `processor use of all its processes over ${idleMs / 1_000} s in each round, with ${withThousands(idleArmed)} calls armed for later and nothing to do`,
  figures: [{ key: "cpu", title: "processor use", unit: "% of a core", better: "less" }],
  reference: () => "floor",
  subjects: (contenders, sizes) =>
    contenders.map((contender) =>
      fresh(contender, async (scene) => {
        await warmUp(scene, sizes.warmUp, sizes.clients)
        const farDue = Date.now() + FAR_MS
        await scene.running.submit(
          callsFrom(sizes.warmUp, sizes.idleArmed, (index) => farDue + index),
          sizes.clients
        )
        return { values: { cpu: await idleUse(scene.running, sizes.idleMs) }, problems: [] }
      })
    )
}

/** Percent of one core. */
export const idleUse = async ({ pids }: Running, windowMs: number): Promise<number> => {
  await Bun.sleep(SETTLE_MS)
  const startedAt = performance.now()
  const before = cpuMs(pids)
  await Bun.sleep(windowMs)
  return ((cpuMs(pids) - before) / (performance.now() - startedAt)) * 100
}
