import { isBuiltin } from "node:module"

/** What may open a connection, beyond what everybody may use. Everything not listed here goes through HttpClientPort. */
const MAY_USE: Readonly<Record<string, ReadonlyArray<string>>> = {
  "packages/adapters/src/bun/page.ts": ["Bun.build"],
  "packages/adapters/src/http/fetch-http-client.ts": ["fetch", "node:tls"],
  "packages/adapters/src/http/host-resolver.ts": ["node:dns", "Bun.dns"],
  // The collector is the operator's, and nothing of a tenant decides where it is.
  "packages/server/src/tracing.ts": ["effect/http FetchHttpClient", "effect/http HttpClient"]
}

/** What may connect to the broker, which the operator sets. */
const BROKER_FOLDER = "packages/adapters/src/nats/"
const BROKER_CLIENT = ["@nats-io/jetstream", "@nats-io/transport-node"]

const all = (prefix: string, names: string) => names.split(" ").map((name) => prefix + name)

/** Parts of the runtime that reach nobody: `Bun.serve` listens, while `Bun.file` also opens `s3:`. */
const HARMLESS = new Set([
  ...all("Bun.", "env gc hash nanoseconds semver serve sleep stdout"),
  ...all("node:", "assert async_hooks buffer crypto events fs fs/promises os path perf_hooks process stream"),
  ...all("node:", "string_decoder timers timers/promises tty url util zlib"),
  ...all("node:net ", "BlockList isIP isIPv4 isIPv6"),
  "bun:sqlite",
  // What the transpiler makes of `using`.
  "bun:wrap"
])

/** The parts of effect that connect, start processes or run what the search here does not see. */
const EFFECT_WAY_OUT =
  /^effect\/(ai|cluster|devtools|eventlog|process|rpc|socket|workers|workflow)(\/|$)|\/(FetchHttpClient|HttpClient|HttpApiClient)$/
const EFFECT_NAME_OUT = /^(FetchHttpClient|HttpClient|HttpApiClient)$/

const GLOBAL =
  /(?<![.\w$#-])(?:(?:self|global|window)\s*(?:\.|\[\s*["'`])\s*)?(fetch|WebSocket|EventSource|XMLHttpRequest|Worker|SharedWorker|globalThis|eval|Function)\b(?![:\w-])/g
const BUN = /(?<![.\w$#"'`-])Bun\b(?:\s*\.\s*([\w$]+))?/g
// Not within the texts "export" and "…/export".
const IMPORT = /(?<!["/])\b(?:import|export)\b(?:([\w$*{},\s]*?)\bfrom)?\s*"([^"]+)"/g
const CALLED_IMPORT = /\b(?:import|require)\s*\(\s*(?:"([^"]+)"\s*\))?/g

/** A sentence for each way in which this source file could reach another host beside the guarded client. */
export const waysOutOf = (path: string, text: string): ReadonlyArray<string> => {
  // Without comments and types, and with every string in double quotes.
  const code = new Bun.Transpiler({ loader: path.endsWith("x") ? "tsx" : "ts" }).transformSync(text)
  const used = [
    ...[...code.matchAll(IMPORT)].flatMap(([, names = "", specifier = ""]) => imported(specifier, names)),
    ...[...code.matchAll(CALLED_IMPORT)].flatMap(([, specifier]) => imported(specifier ?? "import()", "*")),
    ...[...code.matchAll(GLOBAL)].map(([, name = ""]) => name),
    ...[...code.matchAll(BUN)].map(([, member = "*"]) => `Bun.${member}`)
  ]
  const mayUse = path.startsWith(BROKER_FOLDER) ? BROKER_CLIENT : (MAY_USE[path] ?? [])
  return [...new Set(used)]
    .filter(
      (name) => !HARMLESS.has(name) && !mayUse.some((allowed) => name === allowed || name.startsWith(`${allowed} `))
    )
    .map((name) => `${path} may not use ${name}: every request goes through HttpClientPort`)
}

/** What an import brings, as it stands in the lists above; nothing for a file of our own. */
const imported = (specifier: string, clause: string): ReadonlyArray<string> => {
  if (specifier.startsWith(".") || specifier.startsWith("@event-service-agent/")) return []
  const module = isBuiltin(specifier) && !/^(node|bun):|^bun$/.test(specifier) ? `node:${specifier}` : specifier
  const names = /\{([^}]*)\}/
    .exec(clause)?.[1]
    ?.split(",")
    .map((name) => name.trim().split(/\s+as\s+/)[0] ?? "") ?? ["*"]
  if (module === "effect" || module.startsWith("effect/")) {
    if (EFFECT_WAY_OUT.test(module)) return [module]
    const ofHttp = module === "effect/http" || module === "effect/http-api"
    return ofHttp
      ? names.filter((name) => name === "*" || EFFECT_NAME_OUT.test(name)).map((name) => `${module} ${name}`)
      : []
  }
  return HARMLESS.has(module) ? [] : names.filter((name) => name !== "").map((name) => `${module} ${name}`)
}
