import { randomInt } from "node:crypto"
import { afterAll, describe, expect, it } from "vitest"
import { removeLeftovers, temporaryFolder } from "../process.ts"
import { KILL_KINDS } from "./plan.ts"
import { type ChaosOptions, commandOf, runChaos, SEED_MAX } from "./run-chaos.ts"
import { IN_FLIGHT_MAX } from "./strike.ts"

const KILLS = 15
const TRIES_MAX = 3

afterAll(removeLeftovers)

const chaos = async (options: Omit<ChaosOptions, "seed" | "folder">) => {
  using folder = temporaryFolder()
  const run = { seed: randomInt(SEED_MAX), ...options }
  console.info(commandOf(run))
  return { command: commandOf(run), ...(await runChaos({ ...run, folder: folder.path })) }
}

describe("a service that is killed again and again, at random and at every failpoint", () => {
  it("loses no acknowledged call, sends none twice and says which outcomes it does not know", async () => {
    const run = await chaos({ kills: KILLS, submissions: 600, signal: "SIGKILL" })
    const { command, violations, kills, unknown } = run
    expect({ command, violations }).toEqual({ command, violations: [] })
    expect(Object.keys(kills).sort()).toEqual([...KILL_KINDS].sort())
    // The kills met both sides of the send: requests whose outcome is lost, and claims that nothing came of.
    expect(unknown.sent).toBeGreaterThan(0)
    expect(run.attempts).toBeGreaterThan(run.requests)
    expect(unknown.sent + unknown.unsent).toBeLessThanOrEqual(KILLS * IN_FLIGHT_MAX)
    expect(run.resent).toBeGreaterThan(0)
  })

  it("shows a service that sends before it claims for what it is", async () => {
    const tries: Array<Awaited<ReturnType<typeof chaos>>> = []
    const isSeenIn = (violations: ReadonlyArray<string>) =>
      violations.some((violation) => violation.includes(": 2 requests, at most 1 allowed"))
    const othersIn = (violations: ReadonlyArray<string>) =>
      violations.filter((violation) => !violation.includes(" requests, at most 1 allowed"))
    // A few kills may all miss its sends, and on a busy machine calls may end too late.
    const isShown = () => tries.some(({ violations }) => isSeenIn(violations) && othersIn(violations).length === 0)
    while (!isShown() && tries.length < TRIES_MAX) {
      tries.push(await chaos({ kills: 3, submissions: 90, signal: "SIGKILL", mutant: "send-first" }))
    }
    expect({ isShown: isShown(), tries }).toMatchObject({ isShown: true })
  })
})

describe("a service that is stopped again and again under load", () => {
  it("stops in time, loses nothing and leaves no outcome unknown", async () => {
    const { command, violations, kills } = await chaos({ kills: 4, submissions: 240, signal: "SIGTERM" })
    expect({ command, violations }).toEqual({ command, violations: [] })
    expect(kills).toEqual({ random: 4 })
  })
})
