import { waysOutOf } from "./egress/ways-out.ts"

/** The dependency map: what each package's source may import of the others. Everything not listed is a violation. */
export const MAY_IMPORT: Readonly<Record<string, ReadonlyArray<string>>> = {
  schemas: [],
  platform: ["schemas"],
  orchestration: ["schemas", "platform"],
  timer: ["schemas", "platform"],
  execution: ["schemas", "platform"],
  // Reading calls goes through the port that orchestration defines for it, and nothing else of orchestration.
  api: ["schemas", "platform", "orchestration/ports/service-call-reader"],
  // What it bundles and serves.
  adapters: ["schemas", "platform", "orchestration", "timer", "execution", "api", "ui"],
  server: ["schemas", "platform", "orchestration", "timer", "execution", "api", "adapters"],
  // Runs in the browser, and knows the service by its HTTP surface alone.
  ui: ["schemas", "api/contract", "api/representations"],
  // Knows the service by its HTTP surface; the files by what looks at them without the service.
  cli: ["schemas", "api/contract", "api/representations", "api/problem", "api/submission-body", "adapters/sqlite"],
  bench: []
}

/** Packages that may know the runtime; the others run wherever JavaScript does. */
const KNOWS_BUN = new Set(["adapters", "server", "cli", "bench"])

/** The benchmarks, the page in the browser, the command line: they do not run within the service. */
const ASKS_FROM_OUTSIDE = new Set(["bench", "ui", "cli"])

const SCOPE = "@event-service-agent/"
const IMPORT = /(?:from\s+|import\s+|import\s*\(\s*|require\s*\(\s*)["']([^"']+)["']/g

export interface SourceFile {
  /** From the repository's root, as in packages/timer/src/timer.ts. */
  readonly path: string
  readonly text: string
}

/** A sentence for each import or name that breaks the map. */
export const violationsOf = (files: ReadonlyArray<SourceFile>): ReadonlyArray<string> =>
  files.flatMap((file) => {
    const [, name = "", folder] = file.path.split("/")
    if (folder !== "src") return []
    const allowed = MAY_IMPORT[name]
    if (allowed === undefined) return [`${file.path}: the package ${name} has no place in the dependency map`]
    const imports = [...file.text.matchAll(IMPORT)].map((match) => match[1] ?? "")
    return [
      ...imports.flatMap((specifier) => importProblem(file.path, name, allowed, specifier) ?? []),
      ...namingProblems(file, name)
    ]
  })

const importProblem = (
  path: string,
  name: string,
  allowed: ReadonlyArray<string>,
  specifier: string
): string | undefined => {
  if (specifier.startsWith(".")) {
    const target = new URL(specifier, `file:///${path}`).pathname
    return target.startsWith(`/packages/${name}/`) ? undefined : `${path} reaches out of its package: ${specifier}`
  }
  if (specifier.startsWith(SCOPE)) {
    const target = specifier.slice(SCOPE.length)
    const isAllowed = allowed.some((entry) => target === entry || target.startsWith(`${entry}/`))
    return isAllowed ? undefined : `${path} may not import ${specifier}`
  }
  const isBun = specifier === "bun" || specifier.startsWith("bun:")
  return isBun && !KNOWS_BUN.has(name) ? `${path} may not know the runtime: ${specifier}` : undefined
}

const namingProblems = (file: SourceFile, name: string): ReadonlyArray<string> => {
  const problems: Array<string> = []
  const code = file.text.replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*/g, "")
  if (!KNOWS_BUN.has(name) && /\bBun\./.test(code)) problems.push(`${file.path} may not know the runtime: Bun`)
  // One way out for requests: the guarded client. The others ask the service, from outside of it.
  if (!ASKS_FROM_OUTSIDE.has(name)) problems.push(...waysOutOf(file.path, file.text))
  if (name !== "adapters" && name !== "bench" && /\b(INSERT INTO|DELETE FROM|CREATE TABLE)\b/.test(code)) {
    problems.push(`${file.path} may not hold SQL: it belongs to the adapters`)
  }
  return problems
}
