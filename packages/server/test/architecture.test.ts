import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { MAY_IMPORT, type SourceFile, violationsOf } from "./architecture.ts"

const root = join(import.meta.dirname, "../../..")
const sources: ReadonlyArray<SourceFile> = readdirSync(join(root, "packages"), { recursive: true, encoding: "utf8" })
  .filter((path) => /\.tsx?$/.test(path) && !path.includes("node_modules"))
  .map((path) => ({ path: `packages/${path}`, text: readFileSync(join(root, "packages", path), "utf8") }))

const planted = (path: string, text: string) => violationsOf([{ path, text }])

describe("architecture", () => {
  it("has no import against the dependency map", () => {
    expect(sources.length).toBeGreaterThan(50)
    expect(violationsOf(sources)).toEqual([])
  })

  it("finds a violation that is planted", () => {
    expect(planted("packages/timer/src/timer.ts", 'import { layer } from "@event-service-agent/adapters/x"')).toEqual([
      "packages/timer/src/timer.ts may not import @event-service-agent/adapters/x"
    ])
    expect(
      planted("packages/timer/src/a.ts", 'import type { X } from "@event-service-agent/execution/x"')
    ).toHaveLength(1)
    expect(
      planted("packages/api/src/a.ts", 'import { X } from "@event-service-agent/orchestration/domain/x"')
    ).toHaveLength(1)
    expect(planted("packages/schemas/src/a.ts", 'import { X } from "../../platform/src/outbox.ts"')).toHaveLength(1)
    expect(planted("packages/platform/src/a.ts", 'import { Database } from "bun:sqlite"')).toHaveLength(1)
    expect(planted("packages/api/src/a.ts", "const port = Bun.env.PORT")).toHaveLength(1)
    expect(planted("packages/execution/src/a.ts", "const answer = await fetch(url)")).toHaveLength(1)
    expect(planted("packages/api/src/a.ts", "const sql = `INSERT INTO submissions`")).toHaveLength(1)
    expect(planted("packages/newcomer/src/a.ts", "")).toHaveLength(1)
  })

  it("lets pass what the map allows", () => {
    expect(
      planted(
        "packages/api/src/a.ts",
        'import { X } from "@event-service-agent/orchestration/ports/service-call-reader"'
      )
    ).toEqual([])
    expect(planted("packages/timer/src/a.ts", 'import { X } from "./ports/timer-store.ts"')).toEqual([])
  })

  it("is what the packages declare as their dependencies", () => {
    for (const [name, allowed] of Object.entries(MAY_IMPORT)) {
      const manifest = JSON.parse(readFileSync(join(root, "packages", name, "package.json"), "utf8"))
      const declared = Object.keys(manifest.dependencies ?? {})
        .filter((dependency) => dependency.startsWith("@event-service-agent/"))
        .map((dependency) => dependency.split("/")[1])
      const expected = [...new Set(allowed.map((entry) => entry.split("/")[0]))]
      expect({ name, declared: declared.sort() }).toEqual({ name, declared: expected.sort() })
    }
  })

  it("is held by the linter, too", () => {
    const folder = mkdtempSync(join(tmpdir(), "event-service-lint-"))
    for (const file of ["biome.json", "packages/server/test/egress/ways-out.grit"]) {
      cpSync(join(root, file), join(folder, file))
    }
    for (const name of ["timer", "server"]) {
      mkdirSync(join(folder, "packages", name, "src"), { recursive: true })
      writeFileSync(
        join(folder, "packages", name, "src/planted.ts"),
        'import { layer } from "@event-service-agent/adapters/sqlite/outbox"\n\nexport const x = layer\n'
      )
    }
    const biome = join(root, "node_modules/.bin/biome")
    const lint = Bun.spawnSync([biome, "lint", "--vcs-enabled=false", "--colors=off", "."], { cwd: folder })
    const report = lint.stdout.toString() + lint.stderr.toString()
    rmSync(folder, { recursive: true })
    expect(report).toContain("packages/timer/src/planted.ts:1:23 lint/style/noRestrictedImports")
    expect(report).not.toContain("packages/server/src/planted.ts")
  })
})
