import { type Workload, withThousands } from "../workload.ts"
import { fresh, performNow, warmUp } from "./measurement.ts"

/** What to measure once finished calls are pruned. Until then the table says so. */
const RETENTION = "after retention: not yet, finished calls are kept for ever"

export const size: Workload = {
  name: "size",
  describe: ({ size }) => `bytes on disk for each of ${withThousands(size)} finished calls, logs merged; ${RETENTION}`,
  figures: [{ key: "perCall", title: "bytes for a finished call", unit: "bytes", better: "less" }],
  reference: () => "floor",
  subjects: (contenders, sizes) =>
    contenders.map((contender) =>
      fresh(contender, async (scene) => {
        await warmUp(scene, sizes.warmUp, sizes.clients)
        const before = await scene.running.bytesOnDisk()
        await performNow(scene, sizes.warmUp, sizes.size, sizes.clients)
        const bytes = (await scene.running.bytesOnDisk()) - before
        return { values: { perCall: Math.max(0, bytes / sizes.size) }, problems: [] }
      })
    )
}
