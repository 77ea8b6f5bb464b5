import { readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { Effect } from "effect"
import { afterAll, describe, expect } from "vitest"
import { sideBySide } from "../client.ts"
import { removeLeftovers, temporaryFolder } from "../process.ts"
import { createFiles } from "./first-start.ts"
import { itNeeds } from "./needs.ts"
import { straceMissing } from "./power-cut.ts"

const PROGRAM = join(import.meta.dirname, "first-start.ts")
const WIDTH = 4
const SYNCS_MAX = 60

afterAll(removeLeftovers)

describe("a first start", () => {
  itNeeds(
    straceMissing(),
    "that is killed at any of its syncs is made up for by the next one, which misses the database from then on",
    async () => {
      let kills = 0
      // Each run is killed at one sync later, until one comes through.
      let last = SYNCS_MAX
      await sideBySide(Array(SYNCS_MAX).keys(), WIDTH, async (index) => {
        if (index > last) return
        using folder = temporaryFolder()
        if (await isKilledAtSync(folder.path, index + 1)) kills++
        else last = Math.min(last, index)

        await Effect.runPromise(createFiles(folder.path))
        expect(readFileSync(join(folder.path, "keys/secret.key"), "utf8")).toMatch(/^[0-9a-f]{64}\n$/)
        rmSync(join(folder.path, "data/service.db"))
        const refused = await Effect.runPromise(Effect.flip(createFiles(folder.path)))
        expect(refused.message).toContain("it is missing, but there was one")
      })
      expect(kills).toBeGreaterThanOrEqual(10)
      expect(last).toBeLessThan(SYNCS_MAX)
    }
  )
})

const isKilledAtSync = async (folder: string, sync: number): Promise<boolean> => {
  const injection = `--inject=fsync,fdatasync:signal=SIGKILL:when=${sync}`
  const strace = ["strace", "-f", "-qq", "--trace=fsync,fdatasync", injection, "--output=/dev/null"]
  const child = Bun.spawn([...strace, process.execPath, PROGRAM, folder], { stderr: "pipe" })
  const [stderr] = await Promise.all([new Response(child.stderr).text(), child.exited])
  const isKilled = child.signalCode === "SIGKILL" || child.exitCode === 137
  expect({ isKilled, exitCode: child.exitCode, stderr }).toMatchObject(isKilled ? {} : { exitCode: 0, stderr: "" })
  return isKilled
}
