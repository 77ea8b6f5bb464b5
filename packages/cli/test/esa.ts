import { existsSync } from "node:fs"
import { join } from "node:path"
import { temporaryFolder } from "@event-service-agent/server/testing/process"

/** The entry point, as it is started in the repository. */
export const MAIN = join(import.meta.dirname, "../src/main.ts")
const RUN_MS_MAX = 30_000

export interface Ran {
  /** `null` when a signal ended it. */
  readonly exitCode: number | null
  readonly stdout: string
  readonly stderr: string
}

export type Environment = Readonly<Record<string, string>>

export interface How {
  readonly env?: Environment
  /** What comes in; nothing when absent. */
  readonly stdin?: string
  readonly cwd?: string
}

/** One file, as it is shipped: it starts in a quarter of the time of the many. Made once for each test file. */
const bundle = async (): Promise<string> => {
  const { path } = temporaryFolder()
  await Bun.build({ entrypoints: [MAIN], target: "bun", outdir: path })
  return join(path, "main.js")
}
let bundled: Promise<string> | undefined
const program = async (): Promise<string> => {
  bundled ??= bundle()
  const path = await bundled
  // The last file has cleared up.
  if (existsSync(path)) return path
  bundled = bundle()
  return bundled
}

/** The command line as a command: program and first argument. */
export const commandOfEsa = async (): Promise<readonly [string, string]> => [process.execPath, await program()]

/** Starts the command line with nothing of this process's environment but the PATH. The caller ends it. */
export const startEsa = async (args: ReadonlyArray<string>, { env = {}, stdin, cwd }: How = {}) =>
  Bun.spawn([...(await commandOfEsa()), ...args], {
    env: { PATH: process.env["PATH"] ?? "", TZ: "UTC", ...env },
    stdin: stdin === undefined ? "ignore" : new TextEncoder().encode(stdin),
    stdout: "pipe",
    stderr: "pipe",
    ...(cwd === undefined ? {} : { cwd })
  })

/** Runs the command line until it ends. */
export const runEsa = async (args: ReadonlyArray<string>, how: How = {}): Promise<Ran> => {
  const child = await startEsa(args, how)
  const tooLong = setTimeout(() => child.kill("SIGKILL"), RUN_MS_MAX)
  try {
    const [stdout, stderr] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
      child.exited
    ])
    return { exitCode: child.signalCode === null ? child.exitCode : null, stdout, stderr }
  } finally {
    clearTimeout(tooLong)
  }
}

/** Runs it on a terminal of its own; what it prints and notes arrives there as one text. */
export const runOnTerminal = async (args: ReadonlyArray<string>, env: Environment): Promise<string> => {
  const decoder = new TextDecoder()
  let shown = ""
  const child = Bun.spawn([...(await commandOfEsa()), ...args], {
    env: { PATH: process.env["PATH"] ?? "", TERM: "xterm", TZ: "UTC", ...env },
    terminal: { cols: 120, rows: 40, data: (_terminal, bytes) => (shown += decoder.decode(bytes, { stream: true })) }
  })
  const tooLong = setTimeout(() => child.kill("SIGKILL"), RUN_MS_MAX)
  await child.exited.finally(() => clearTimeout(tooLong))
  return shown
}

/** The JSON documents that were printed, a line each. */
export const documentsOf = ({ stdout }: Ran): ReadonlyArray<Record<string, unknown>> =>
  stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line))
