/**
 * Makes the command line one executable file per platform, Bun included: `bun packages/cli/build.ts [folder]`. Says the
 * size of each. The runtime of another platform is downloaded once.
 */
import { statSync } from "node:fs"
import { join } from "node:path"

const TARGETS = ["linux-x64", "linux-arm64"] as const
const MEBIBYTE = 1_048_576

const folder = process.argv[2] ?? join(import.meta.dirname, "dist")

for (const target of TARGETS) {
  const outfile = join(folder, `esa-${target}`)
  try {
    await Bun.build({
      entrypoints: [join(import.meta.dirname, "src/main.ts")],
      minify: true,
      compile: { target: `bun-${target}`, outfile }
    })
    console.log(`${outfile}: ${(statSync(outfile).size / MEBIBYTE).toFixed(0)} MiB`)
  } catch (error) {
    console.error(`${outfile} was not made:`, error)
    process.exitCode = 1
  }
}
