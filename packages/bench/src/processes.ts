import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

/** How long a process may take to say that it is ready, and to end when it is told to. */
const READY_MS_MAX = 30_000
const END_MS_MAX = 30_000
const DYING_MS = 500

export type Environment = Readonly<Record<string, string>>

export interface Child {
  readonly pid: number
  /** Fails, with the last that it said, when the process ends in failure. */
  readonly succeeded: () => Promise<void>
  /** The first line on its output that `isReady` accepts. Fails when the process ends before, or takes too long. */
  readonly ready: (isReady?: (line: string) => boolean) => Promise<string>
  /** Asks it to end, and kills it when it does not. */
  readonly end: () => Promise<void>
}

export interface Start {
  readonly env?: Environment
  readonly folder?: string
  /** What asks it to end; SIGTERM if absent. */
  readonly endsOn?: NodeJS.Signals
  /** What ends it without delay and with its own children; SIGKILL if absent. */
  readonly diesOn?: NodeJS.Signals
}

const alive = new Set<() => void>()
const folders = new Set<string>()

/** Starts a process that ends, at the latest, with this one. It gets the PATH, a home and what `env` says. */
export const start = (command: ReadonlyArray<string>, options: Start = {}): Child => {
  const { env = {}, folder, endsOn = "SIGTERM", diesOn = "SIGKILL" } = options
  const child = Bun.spawn([...command], {
    ...(folder === undefined ? {} : { cwd: folder }),
    env: { PATH: process.env["PATH"] ?? "", HOME: process.env["HOME"] ?? tmpdir(), ...env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe"
  })
  const kill = () => child.kill(diesOn)
  alive.add(kill)
  const lines = new Lines()
  const reading = Promise.all([lines.read(child.stdout), lines.read(child.stderr)])
  const ended = child.exited.then(async () => {
    alive.delete(kill)
    await reading
    lines.close(`${command[0]} ended: ${lines.latest}`)
  })
  return {
    pid: child.pid,
    succeeded: async () => {
      await ended
      if (child.exitCode !== 0) throw new Error(`${command[0]} failed: ${lines.latest}`)
    },
    ready: (isReady = () => true) => withDeadline(lines.first(isReady), READY_MS_MAX, `${command[0]} is not ready`),
    end: async () => {
      child.kill(endsOn)
      await withDeadline(ended, END_MS_MAX, "it does not end").catch(() => {
        child.kill("SIGKILL")
        return ended
      })
    }
  }
}

/** Runs a program on Bun, as `bun run start` does. */
export const startBun = (program: ReadonlyArray<string>, options: Start = {}): Child =>
  start([process.execPath, ...program], { ...options, env: { BUN_CONFIG_MAX_HTTP_REQUESTS: "1000", ...options.env } })

/** A folder that is gone, at the latest, when this process ends. */
export const temporaryFolder = (): { readonly path: string; readonly remove: () => void } => {
  const path = mkdtempSync(join(tmpdir(), "event-service-bench-"))
  folders.add(path)
  return {
    path,
    remove: () => {
      folders.delete(path)
      rmSync(path, { recursive: true, force: true })
    }
  }
}

/** Ends what still runs, and removes what is still there: after tests that were cut off. */
export const cleanUp = (): void => {
  for (const kill of alive) kill()
  // What is still writing would make its folder anew.
  if (alive.size > 0) Bun.sleepSync(DYING_MS)
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
}

/** Leaves nothing behind, however this process ends: for the start of the program. */
export const cleanUpOnExit = (): void => {
  process.on("exit", cleanUp)
  process.on("SIGINT", () => process.exit(130))
  process.on("SIGTERM", () => process.exit(143))
}

/** A TCP port of 127.0.0.1 that was free a moment ago. */
export const freePort = (): number => {
  const listener = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: () => {} } })
  const { port } = listener
  listener.stop(true)
  return port
}

/** Waits until the probe holds; fails after `deadlineMs` with what was waited for. */
export const until = async (
  what: string,
  probe: () => boolean | Promise<boolean>,
  deadlineMs: number,
  pollMs = 5
): Promise<void> => {
  const startedAt = performance.now()
  while (!(await probe())) {
    if (performance.now() - startedAt > deadlineMs) throw new Error(`waited ${deadlineMs} ms in vain until ${what}`)
    await Bun.sleep(pollMs)
  }
}

const withDeadline = <A>(promise: Promise<A>, ms: number, message: string): Promise<A> => {
  const tooLong = Promise.withResolvers<never>()
  const timer = setTimeout(() => tooLong.reject(new Error(`${message} after ${ms} ms`)), ms)
  return Promise.race([promise, tooLong.promise]).finally(() => clearTimeout(timer))
}

/** What a process writes, read to the end, so that it never waits for its reader. */
class Lines {
  readonly #lines: Array<string> = []
  readonly #waiting = new Set<() => void>()
  #closed: string | undefined

  get latest(): string {
    return this.#lines.slice(-5).join(" | ")
  }

  async read(stream: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder()
    let rest = ""
    for await (const chunk of stream) {
      const complete = (rest + decoder.decode(chunk, { stream: true })).split("\n")
      rest = complete.pop() ?? ""
      this.#lines.push(...complete)
      // Only the start and the latest matter: a service may write a line for each call.
      if (this.#lines.length > 1_000) this.#lines.splice(500, this.#lines.length - 600)
      for (const look of this.#waiting) look()
    }
  }

  close(reason: string): void {
    this.#closed = reason
    for (const look of this.#waiting) look()
  }

  first(isWanted: (line: string) => boolean): Promise<string> {
    const found = Promise.withResolvers<string>()
    const look = () => {
      const line = this.#lines.find(isWanted)
      if (line !== undefined) found.resolve(line)
      else if (this.#closed !== undefined) found.reject(new Error(this.#closed))
    }
    this.#waiting.add(look)
    look()
    return found.promise.finally(() => this.#waiting.delete(look))
  }
}
