import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { componentsOf, readLock } from "../tools/sbom.ts"

const root = join(import.meta.dirname, "../../..")
const manifest = (path: string) => JSON.parse(readFileSync(join(root, path, "package.json"), "utf8"))
const ALLOWED_LICENCES = new Set(["MIT", "Apache-2.0", "Unlicense", "ISC", "BSD-2-Clause", "BSD-3-Clause", "0BSD"])

describe("what is shipped", () => {
  it("is listed with versions, hashes and licences that everybody may use", () => {
    const components = componentsOf(readLock())
    expect(components.map(({ name }) => name)).toEqual(
      expect.arrayContaining(["effect", "@nats-io/jetstream", "@nats-io/nats-core", "preact"])
    )
    for (const { name, licenses, hashes } of components) {
      const [licence] = licenses
      expect({ name, isAllowed: ALLOWED_LICENCES.has(licence?.license.id ?? "") }).toEqual({ name, isAllowed: true })
      expect(hashes[0]?.content).toMatch(/^[0-9a-f]{128}$/)
    }
    // Peers and tools are of other packages.
    expect(components.some(({ name }) => ["bullmq", "typescript", "vitest"].includes(name))).toBe(false)
  })

  it("is all that the runbook installs", () => {
    const installs = readFileSync(join(root, "docs/operations.md"), "utf8").match(/bun install .*/g) ?? []
    expect(installs).toEqual(["bun install --frozen-lockfile --production --filter '!@event-service-agent/bench'"])
  })

  it("runs no script of others when it is installed, and has no versions that could change", () => {
    expect(manifest(".").trustedDependencies).toEqual([])
    const packages = readdirSync(join(root, "packages"), { withFileTypes: true }).filter((one) => one.isDirectory())
    const folders = [".", ...packages.map(({ name }) => join("packages", name))]
    for (const folder of folders) {
      const { dependencies = {}, devDependencies = {} } = manifest(folder)
      for (const [name, version] of Object.entries({ ...dependencies, ...devDependencies })) {
        const isFixed = /^(\d+\.\d+\.\d+\S*|workspace:\*|catalog:)$/.test(String(version))
        expect({ folder, name, isFixed }).toEqual({ folder, name, isFixed: true })
      }
    }
  })
})
