/** As Bun writes it with `--cpu-prof`: the format of Chrome's tools. */
export interface CpuProfile {
  readonly nodes: ReadonlyArray<ProfileNode>
  /** Node ids, one for each time that the profiler looked. */
  readonly samples: ReadonlyArray<number>
  /** Microseconds since the sample before. Longer where the program waited. */
  readonly timeDeltas: ReadonlyArray<number>
}

interface ProfileNode {
  readonly id: number
  readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number }
  readonly children?: ReadonlyArray<number>
}

/** Milliseconds. */
export interface Costs {
  readonly sampledMs: number
  /** By what runs: a native function, a part of Effect, a package of ours. */
  readonly areas: ReadonlyMap<string, number>
  /** By what a call goes through, told by the innermost file of ours on the stack. */
  readonly stages: ReadonlyMap<string, number>
  /** By the innermost file of ours on the stack. */
  readonly places: ReadonlyMap<string, number>
  readonly functions: ReadonlyMap<string, number>
}

/** A longer time between two samples was a wait. */
const SAMPLE_MS_MAX = 2
const NO_PLACE = "none: Effect between two steps, Bun itself"

/** Sums a profile up, without its first `skippedMs`. */
export const costsOf = (profile: CpuProfile, skippedMs: number): Costs => {
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]))
  const parents = new Map(profile.nodes.flatMap(({ id, children = [] }) => children.map((child) => [child, id])))
  const placeOf = (id: number): string => {
    for (let at: number | undefined = id; at !== undefined; at = parents.get(at)) {
      const place = ownFile(nodes.get(at)?.callFrame.url ?? "")
      if (place !== undefined) return place
    }
    return NO_PLACE
  }
  const newMap = () => new Map<string, number>()
  const [areas, stages, places, functions] = [newMap(), newMap(), newMap(), newMap()]
  const add = (to: Map<string, number>, key: string, ms: number) => to.set(key, (to.get(key) ?? 0) + ms)
  let sampledMs = 0
  let elapsedMs = 0
  for (const [index, id] of profile.samples.entries()) {
    const sinceLastMs = (profile.timeDeltas[index] ?? 0) / 1_000
    elapsedMs += sinceLastMs
    const node = nodes.get(id)
    if (node === undefined || elapsedMs < skippedMs) continue
    const ms = Math.min(sinceLastMs, SAMPLE_MS_MAX)
    sampledMs += ms
    add(areas, areaOf(node.callFrame), ms)
    const place = placeOf(id)
    add(places, place, ms)
    add(stages, stageOf(place), ms)
    add(functions, describe(node.callFrame), ms)
  }
  return { sampledMs, areas, stages, places, functions }
}

/** The first that fits. */
const STAGES: ReadonlyArray<readonly [stage: string, places: RegExp]> = [
  ["HTTP in: the server, the edge, the checks", /^(api|adapters\/src\/bun\/http-server)/],
  ["sealing, redaction and egress rules, in and out", /^(schemas|platform\/src\/(request-vault|egress-policy))/],
  ["orchestration", /^(orchestration|timer)/],
  ["HTTP out: the attempt and the client", /^(execution|adapters\/src\/http|platform\/src\/http-client)/],
  ["storage: statements, rows, commits", /^adapters/],
  ["the writer: Effect running the units of work", /^platform\/src\/transaction/],
  ["the bus", /^platform/],
  ["the log", /^server/]
]
const stageOf = (place: string): string => STAGES.find(([, places]) => places.test(place))?.[0] ?? place

const ownFile = (url: string): string | undefined => /\/packages\/(.+)$/.exec(url)?.[1]

const effectFile = (url: string): string | undefined => /\/effect\/dist\/(.+)$/.exec(url)?.[1]

const NATIVE: ReadonlyArray<readonly [area: string, names: RegExp]> = [
  ["SQLite, with the fsync of commits", /^(run|get|all|values)$/],
  ["JSON", /^(stringify|parse)$/],
  ["fetch and its answer", /^(fetch|Headers|Response|Request|read|getReader|AbortController|AbortSignal|abort)$/i],
  ["the log", /^(log|write)$/],
  ["cryptography", /^(Hmac|Hash|Cipheriv|Decipheriv|update|final|digest|getRandomValues|randomBytes|randomFillSync)$/i]
]

const EFFECT: ReadonlyArray<readonly [area: string, files: RegExp]> = [
  [
    "Effect: fibers and generators",
    /^internal\/(effect|core|fiber|scheduler)|^(Scheduler|Utils|Fiber|Function|Exit|Cause)/
  ],
  ["Effect: schemas", /^(Schema|internal\/schema)/],
  ["Effect: HTTP", /^(http|internal\/http)/],
  ["Effect: services and context", /^(Context|Layer)/],
  ["Effect: logger", /^(Logger|internal\/log|References)/],
  ["Effect: dates", /^(DateTime|internal\/dateTime|Clock|internal\/clock)/]
]

const areaOf = ({ url, functionName }: ProfileNode["callFrame"]): string => {
  const own = ownFile(url)
  if (own !== undefined) return `ours: ${own.split("/")[0]}`
  const effect = effectFile(url)
  if (effect !== undefined) return EFFECT.find(([, files]) => files.test(effect))?.[0] ?? "Effect: other"
  return NATIVE.find(([, names]) => names.test(functionName))?.[0] ?? "Bun: other"
}

const describe = ({ url, functionName, lineNumber }: ProfileNode["callFrame"]): string => {
  const file = ownFile(url) ?? effectFile(url)?.replace(/^/, "effect/") ?? "native"
  return `${functionName === "" ? "(anonymous)" : functionName} ${file}${lineNumber > 0 ? `:${lineNumber + 1}` : ""}`
}
