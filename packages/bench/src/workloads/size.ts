import type { Contender } from "../contender.ts"
import { bytesAfterRetention, service } from "../contenders/service.ts"
import { temporaryFolder } from "../processes.ts"
import { type Sizes, type Workload, withThousands } from "../workload.ts"
import { performNow, warmUp, withScene } from "./measurement.ts"

export const size: Workload = {
  name: "size",
  describe: ({ size }) =>
    `bytes on disk for each of ${withThousands(size)} finished calls, logs merged; for the service also what is in use in its file once they have been pruned, above an empty one`,
  figures: [
    { key: "perCall", title: "bytes for a finished call", unit: "bytes", better: "less" },
    { key: "afterRetention", title: "bytes left of it after retention", unit: "bytes", better: "less" }
  ],
  reference: () => "floor",
  subjects: (contenders, sizes) =>
    contenders.map((contender) => ({
      name: contender.name,
      measure: async () => {
        const folder = temporaryFolder()
        try {
          const perCall = await measurePerCall(contender, sizes, folder.path)
          if (contender.name !== service.name) return { values: { perCall }, problems: [] }
          const left = (await bytesAfterRetention(folder.path)) - (await bytesOfEmpty())
          return { values: { perCall, afterRetention: left / (sizes.warmUp + sizes.size) }, problems: [] }
        } finally {
          folder.remove()
        }
      },
      cleanUp: () => {}
    }))
}

const measurePerCall = (contender: Contender, sizes: Sizes, folder: string): Promise<number> =>
  withScene(
    contender,
    async (scene) => {
      await warmUp(scene, sizes.warmUp, sizes.clients)
      const before = await scene.running.bytesOnDisk()
      await performNow(scene, sizes.warmUp, sizes.size, sizes.clients)
      return Math.max(0, ((await scene.running.bytesOnDisk()) - before) / sizes.size)
    },
    folder
  )

const bytesOfEmpty = async (): Promise<number> => {
  const folder = temporaryFolder()
  try {
    return await bytesAfterRetention(folder.path)
  } finally {
    folder.remove()
  }
}
