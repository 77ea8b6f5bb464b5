import { randomInt } from "node:crypto"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { missingNats } from "../nats/nats-server.ts"
import { removeLeftovers } from "../process.ts"
import { type ChaosOptions, commandOf, runChaos, SEED_MAX } from "./run-chaos.ts"
import { natsCommandOf, runNatsChaos } from "./run-nats-chaos.ts"

const KILLS = { SIGKILL: 500, SIGTERM: 100 }
const NATS_KILLS = 200
const SUBMISSIONS_PER_KILL = 40
const VIOLATIONS_SHOWN = 50
const EXIT_USAGE = 2
const EXIT_CUT_OFF = 130
const USAGE =
  "bun run chaos [--nats] [--kills N] [--submissions N] [--seed N] [--signal SIGKILL|SIGTERM] [--mutant send-first]"
const HELP = `${USAGE}

Starts the service, loads it, kills it again and again, and checks that it kept its promises.
  --nats         over NATS, with two executors elsewhere: kills them, the service, the broker, or two of them at once
  --kills        ${KILLS.SIGKILL} when absent, ${KILLS.SIGTERM} with SIGTERM, ${NATS_KILLS} with --nats
  --submissions  ${SUBMISSIONS_PER_KILL} for each kill when absent
  --seed         decides what is submitted and when the service dies; random when absent
  --signal       SIGKILL when absent; after SIGTERM no outcome may be unknown either
  --mutant       send-first: a service, or executors, broken on purpose, to see the checks fail`

/** An argument that the usage does not know. Its message names the flag. */
class UsageError extends Error {}

type Options = Omit<ChaosOptions, "onProgress" | "folder"> & { readonly isOverNats: boolean }

/** @returns what to run; `undefined` when only the help is asked for */
const parse = (): Options | undefined => {
  const { values } = parseFlags()
  const { signal, mutant, nats: isOverNats } = values
  if (values.help) return undefined
  if (signal !== "SIGKILL" && signal !== "SIGTERM") {
    throw new UsageError(`--signal: expected SIGKILL or SIGTERM, got "${signal}"`)
  }
  if (mutant !== undefined && mutant !== "send-first") {
    throw new UsageError(`--mutant: expected send-first, got "${mutant}"`)
  }
  if (isOverNats && signal !== "SIGKILL") throw new UsageError("--signal: --nats knows SIGKILL alone")
  if (isOverNats && missingNats !== undefined) throw new UsageError(missingNats)
  const kills = whole("kills", values.kills) ?? (isOverNats ? NATS_KILLS : KILLS[signal])
  const submissions = whole("submissions", values.submissions) ?? kills * SUBMISSIONS_PER_KILL
  const seed = whole("seed", values.seed) ?? randomInt(SEED_MAX)
  return { kills, submissions, seed, signal, mutant, isOverNats }
}

const parseFlags = () => {
  try {
    return parseArgs({
      options: {
        kills: { type: "string" },
        submissions: { type: "string" },
        seed: { type: "string" },
        signal: { type: "string", default: "SIGKILL" },
        mutant: { type: "string" },
        nats: { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false }
      }
    })
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error))
  }
}

const whole = (flag: string, text: string | undefined): number | undefined => {
  if (text === undefined) return undefined
  if (!/^[1-9]\d{0,9}$/.test(text)) throw new UsageError(`--${flag}: expected a whole number above 0, got "${text}"`)
  return Number(text)
}

const main = async (): Promise<number> => {
  const options = parse()
  if (options === undefined) {
    console.log(HELP)
    return 0
  }
  const { kills, submissions, isOverNats } = options
  const folder = mkdtempSync(join(tmpdir(), "event-service-chaos-"))
  const onProgress = (line: string) => console.error(line)
  const natsRun = { ...options, strikes: kills, folder, onProgress }
  const command = isOverNats ? natsCommandOf(natsRun) : commandOf(options)
  console.error(command)
  const { violations, ...figures } = isOverNats
    ? await runNatsChaos(natsRun)
    : await runChaos({ ...options, folder, onProgress })
  console.log(JSON.stringify(figures))
  if (violations.length === 0) {
    rmSync(folder, { recursive: true, force: true })
    console.log(`every promise kept over ${kills} kills and ${submissions} submissions`)
    return 0
  }
  for (const violation of violations.slice(0, VIOLATIONS_SHOWN)) console.error(`  ${violation}`)
  console.error(`${violations.length} violations. The database is in ${folder}. Once more: ${command}`)
  return 1
}

const explainUsage = (error: unknown): number => {
  if (!(error instanceof UsageError)) throw error
  console.error(`${error.message}. Usage: ${USAGE}`)
  return EXIT_USAGE
}

process.on("SIGINT", () => process.exit(EXIT_CUT_OFF)).on("SIGTERM", () => process.exit(EXIT_CUT_OFF))
process.on("exit", removeLeftovers)
process.exit(await main().catch(explainUsage))
