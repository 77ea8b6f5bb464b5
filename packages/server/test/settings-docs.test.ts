import { readFileSync } from "node:fs"
import { join } from "node:path"
import { Effect, Redacted } from "effect"
import { describe, expect, it } from "vitest"
import { readSettings } from "../src/config.ts"
import { SETTINGS, type SettingText } from "../src/settings-catalogue.ts"
import { envExample, literalOf, runbook } from "../tools/settings-docs.ts"

const root = join(import.meta.dirname, "../../..")
const read = (file: string) => readFileSync(join(root, file), "utf8")

/** So that the settings of NATS and of traces are read, too. */
const ALL_ON: Readonly<Record<string, string>> = {
  NATS_URL: "nats://127.0.0.1:4222",
  OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:4318"
}
const catalogue: ReadonlyArray<readonly [string, SettingText]> = Object.values(SETTINGS).flatMap((group) =>
  Object.entries<SettingText>(group)
)

describe("the settings", () => {
  it("are in the catalogue as the program reads them", () => {
    const asked = new Set<string>()
    const environment = new Proxy(ALL_ON, {
      get: (target, key) => {
        if (typeof key === "string") asked.add(key)
        return typeof key === "string" ? target[key] : undefined
      }
    })
    Effect.runSync(readSettings(environment, false))
    expect(catalogue.map(([key]) => key).sort()).toEqual([...asked].sort())
  })

  it("have the defaults that the catalogue says", () => {
    const settingsFor = (more: Readonly<Record<string, string>>) => {
      const { tracing, ...settings } = Effect.runSync(readSettings({ ...ALL_ON, ...more }, false))
      return { ...settings, tracing: { ...tracing, headers: Redacted.value(tracing?.headers ?? Redacted.make({})) } }
    }
    const literals = catalogue.flatMap(([key, { default: fallback }]) => {
      const value = literalOf(fallback)
      return value === undefined ? [] : [[key, value] as const]
    })
    expect(literals.length).toBeGreaterThan(15)
    for (const [key, value] of literals)
      expect({ key, ...settingsFor({ [key]: value }) }).toEqual({ key, ...settingsFor({}) })
  })

  it("are in the runbook and in .env.example as generated", () => {
    // Formatters may align the tables.
    const plain = (text: string) => text.replaceAll(/ +/g, " ").replaceAll(/-{3,}/g, "---")
    const operations = read("docs/operations.md")
    expect(plain(operations)).toBe(plain(runbook(operations)))
    expect(read(".env.example")).toBe(envExample())
  })
})
