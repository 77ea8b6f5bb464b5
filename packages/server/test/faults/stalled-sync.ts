import { plugin } from "bun"

const SYNC = "await promisify(fdatasync)(descriptor)"
/** Loaded before the program: from SIGUSR2 on, the syncs of its writer do not come back, as on a disk that hangs. */
const STALLING = `${SYNC}; await globalThis[Symbol.for("stall")]`

Reflect.set(globalThis, Symbol.for("stall"), undefined)
process.on("SIGUSR2", () => {
  Reflect.set(globalThis, Symbol.for("stall"), new Promise(() => {}))
  console.log(JSON.stringify({ message: "syncs stall", level: "INFO", annotations: {} }))
})
plugin({
  name: "stalled sync",
  setup: (build) => {
    build.onLoad({ filter: /\/src\/sqlite\/transaction\.ts$/ }, async ({ path }) => {
      const parts = (await Bun.file(path).text()).split(SYNC)
      if (parts.length !== 2) throw new Error(`${path} does not have the sync that is to stall`)
      return { contents: parts.join(STALLING), loader: "ts" }
    })
  }
})
