import { plugin } from "bun"

const SYNC = "await promisify(fdatasync)(descriptor)"

/**
 * Loaded before the program, it takes the sync out of its writer: then that waits for the disk no more. For the test of
 * the test alone.
 */
plugin({
  name: "without sync",
  setup: (build) => {
    build.onLoad({ filter: /\/src\/sqlite\/transaction\.ts$/ }, async ({ path }) => {
      const parts = (await Bun.file(path).text()).split(SYNC)
      if (parts.length !== 2) throw new Error(`${path} does not have the sync that is to be taken out`)
      return { contents: parts.join(""), loader: "ts" }
    })
  }
})
