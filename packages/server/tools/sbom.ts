import { readFileSync, realpathSync } from "node:fs"
import { createRequire } from "node:module"
import { join } from "node:path"
import { Schema } from "effect"

/** What is installed and running in production, from the lock file, as CycloneDX 1.6 (`bun run sbom > sbom.json`). */
const ROOT = join(import.meta.dirname, "../../..")
/** Packages of ours that are not part of the program. */
const NOT_SHIPPED = new Set(["packages/bench"])

const Versions = Schema.optionalKey(Schema.Record(Schema.String, Schema.String))
/** As far as it is read here. A package of ours has its name alone. */
const Lock = Schema.Struct({
  workspaces: Schema.Record(Schema.String, Schema.Struct({ name: Schema.String, dependencies: Versions })),
  packages: Schema.Record(
    Schema.String,
    Schema.Union([
      Schema.Tuple([Schema.String]),
      Schema.Tuple([Schema.String, Schema.String, Schema.Struct({ dependencies: Versions }), Schema.String])
    ])
  )
})
type Lock = typeof Lock.Type

interface Component {
  readonly type: "library"
  readonly name: string
  readonly version: string
  readonly purl: string
  readonly licenses: ReadonlyArray<{ readonly license: { readonly id: string } }>
  readonly hashes: ReadonlyArray<{ readonly alg: "SHA-512"; readonly content: string }>
}

/** Every package that a workspace of the program reaches, by name. */
export const componentsOf = (lock: Lock): ReadonlyArray<Component> => {
  const found = new Map<string, Component>()
  const visit = (name: string, from: string, parent: string) => {
    const entry = lock.packages[`${parent}/${name}`] ?? lock.packages[name]
    if (entry === undefined || entry.length === 1) return
    const [nameAtVersion, , about, integrity] = entry
    if (found.has(nameAtVersion)) return
    const version = nameAtVersion.slice(nameAtVersion.lastIndexOf("@") + 1)
    const manifest = manifestOf(name, from)
    found.set(nameAtVersion, {
      type: "library",
      name,
      version,
      purl: `pkg:npm/${name.replace("@", "%40")}@${version}`,
      licenses: [{ license: { id: manifest.license } }],
      hashes: [{ alg: "SHA-512", content: Buffer.from(integrity.replace("sha512-", ""), "base64").toString("hex") }]
    })
    for (const dependency of Object.keys(about.dependencies ?? {})) visit(dependency, manifest.path, name)
  }
  for (const [path, { name, dependencies = {} }] of Object.entries(lock.workspaces)) {
    if (NOT_SHIPPED.has(path)) continue
    for (const dependency of Object.keys(dependencies)) visit(dependency, join(ROOT, path, "package.json"), name)
  }
  return [...found.values()].sort((a, b) => a.purl.localeCompare(b.purl))
}

/** The package's own word on its licence, as it is installed for whoever depends on it. */
const manifestOf = (name: string, from: string): { readonly path: string; readonly license: string } => {
  const folders = createRequire(from).resolve.paths(name) ?? []
  for (const folder of folders) {
    try {
      const path = realpathSync(join(folder, name, "package.json"))
      return { path, license: String(JSON.parse(readFileSync(path, "utf8")).license ?? "unknown") }
    } catch {
      // Not in this folder.
    }
  }
  return { path: from, license: "unknown" }
}

export const readLock = (): Lock =>
  Schema.decodeUnknownSync(Lock)(Bun.JSONC.parse(readFileSync(join(ROOT, "bun.lock"), "utf8")))

if (import.meta.main) {
  const components = componentsOf(readLock())
  const bom = { bomFormat: "CycloneDX", specVersion: "1.6", version: 1, components }
  console.log(JSON.stringify(bom, null, 2))
}
