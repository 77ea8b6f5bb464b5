import { readFileSync } from "node:fs"
import { join } from "node:path"
import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import { readSettings } from "../src/config.ts"

const root = join(import.meta.dirname, "../../..")
/** Read by Bun or by the settings of others, and so in no table of ours. */
const NOT_SETTINGS = new Set(["NODE_ENV"])

/** Every name that the program asks the environment for, when all it may depend on is set. */
const readKeys = (): ReadonlySet<string> => {
  const keys = new Set<string>()
  const values: Readonly<Record<string, string>> = {
    NATS_URL: "nats://127.0.0.1:4222",
    OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:4318"
  }
  const environment = new Proxy<Readonly<Record<string, string | undefined>>>(values, {
    get: (target, key) => {
      if (typeof key === "string") keys.add(key)
      return typeof key === "string" ? target[key] : undefined
    }
  })
  Effect.runSyncExit(readSettings(environment, false))
  return new Set([...keys].filter((key) => !NOT_SETTINGS.has(key)))
}

/** The names in the first cells of the tables. */
const documentedKeys = (file: string): ReadonlyArray<string> =>
  readFileSync(join(root, file), "utf8")
    .split("\n")
    .filter((line) => line.startsWith("| `"))
    .flatMap((line) => [...(line.split("|")[1] ?? "").matchAll(/`([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|HOST|PORT|AUTH)`/g)])
    .map(([, key = ""]) => key)

describe("the settings", () => {
  it("are all in the tables of README and runbook, and nothing that the program does not read", () => {
    const keys = readKeys()
    expect(keys.size).toBeGreaterThan(25)
    const documented = new Set([...documentedKeys("README.md"), ...documentedKeys("docs/operations.md")])
    expect([...documented].sort()).toEqual([...keys].sort())
  })
})
