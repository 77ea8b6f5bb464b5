import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { until } from "./until.ts"

const MAIN = join(import.meta.dirname, "../src/main.ts")
const READY_MS_MAX = 30_000
const EXIT_MS_MAX = 30_000

export type Environment = Readonly<Record<string, string>>

/** One line of the JSON log. */
export interface LogLine {
  readonly message: string
  readonly level: string
  readonly annotations: Readonly<Record<string, unknown>>
}

/** How a run of the program ended. */
export interface Ended {
  /** `null` when a signal ended it. */
  readonly exitCode: number | null
  readonly stdout: string
  readonly stderr: string
}

const leftovers = new Set<() => void>()

/** Ends and removes what a test that was cut off has left behind, the latest first. For `afterAll` in each file. */
export const removeLeftovers = (): void => {
  for (const remove of [...leftovers].reverse()) remove()
}

/** Has this done, too, unless it is taken back before. Returns what takes it back. */
export const leaveBehind = (remove: () => void): (() => void) => {
  leftovers.add(remove)
  return () => leftovers.delete(remove)
}

export interface TemporaryFolder extends Disposable {
  readonly path: string
}

/** A folder that is gone after the test. */
export const temporaryFolder = (): TemporaryFolder => {
  const path = mkdtempSync(join(tmpdir(), "event-service-e2e-"))
  const remove = () => {
    leftovers.delete(remove)
    rmSync(path, { recursive: true, force: true })
  }
  leftovers.add(remove)
  return { path, [Symbol.dispose]: remove }
}

/** How to start the program where it is not the usual way: another entry point, or a tracer before it. */
export type Command = ReadonlyArray<string>

const COMMAND: Command = [process.execPath, MAIN]

/** Starts the program in a folder, with nothing from this process's environment but the PATH. */
const spawn = (folder: string, env: Environment, command: Command) => {
  const child = Bun.spawn([...command], {
    cwd: folder,
    env: {
      PATH: process.env["PATH"] ?? "",
      DB_PATH: join(folder, "service.db"),
      PORT: "0",
      ECHO_PORT: "off",
      LOG_FORMAT: "json",
      ...env
    },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe"
  })
  const remove = () => child.kill("SIGKILL")
  leftovers.add(remove)
  const written = { stdout: "", stderr: "" }
  const lines: Array<LogLine> = []
  const read = async (from: "stdout" | "stderr") => {
    const decoder = new TextDecoder()
    let rest = ""
    for await (const chunk of child[from]) {
      const text = decoder.decode(chunk, { stream: true })
      written[from] += text
      const complete = (rest + text).split("\n")
      rest = complete.pop() ?? ""
      if (from === "stdout")
        lines.push(...complete.filter((line) => line.startsWith("{")).map((line) => JSON.parse(line)))
    }
  }
  const ended = Promise.all([child.exited, read("stdout"), read("stderr")]).then((): Ended => {
    leftovers.delete(remove)
    return { exitCode: child.signalCode === null ? child.exitCode : null, ...written }
  })
  return { child, lines, written, ended }
}

/** Runs the program until it ends by itself: for starts that are refused. */
export const runToEnd = async (folder: string, env: Environment = {}, command = COMMAND): Promise<Ended> => {
  const run = spawn(folder, env, command)
  const tooLong = setTimeout(() => run.child.kill("SIGKILL"), READY_MS_MAX)
  try {
    return await run.ended
  } finally {
    clearTimeout(tooLong)
  }
}

/** Why a start was refused: the message of the one line that it writes then. */
export const fatalMessageOf = ({ stderr }: Ended): string => {
  const { level, message }: LogLine = JSON.parse(stderr)
  return `${level} ${message}`
}

export interface Start {
  /** One that the caller owns; the program's own when absent. */
  readonly folder?: string
  readonly command?: Command
  /** With which message it says that it is ready. */
  readonly readyMessage?: string
}

/** The real program as a child process. It ends, and its own folder with it, when the test does. */
export class Service implements AsyncDisposable {
  readonly folder: string
  readonly dbPath: string
  readonly #env: Environment
  readonly #command: Command
  readonly #readyMessage: string
  readonly #ownFolder: TemporaryFolder | undefined
  readonly #earlier: Array<LogLine> = []
  #run: ReturnType<typeof spawn>
  #url = ""

  private constructor(env: Environment, { folder, command = COMMAND, readyMessage = "ready" }: Start) {
    this.#ownFolder = folder === undefined ? temporaryFolder() : undefined
    this.folder = folder ?? this.#ownFolder?.path ?? ""
    this.dbPath = join(this.folder, "service.db")
    this.#env = env
    this.#command = command
    this.#readyMessage = readyMessage
    this.#run = spawn(this.folder, env, command)
  }

  static async start(env: Environment = {}, how: Start = {}): Promise<Service> {
    const service = new Service(env, how)
    try {
      await service.#ready()
      return service
    } catch (error) {
      await service[Symbol.asyncDispose]()
      throw error
    }
  }

  /** Where the current run listens, without a slash at the end; empty if it does not. A restart changes it. */
  get url(): string {
    return this.#url
  }

  /** The id of the current run's process, or of the tracer before it. */
  get pid(): number {
    return this.#run.child.pid
  }

  /** What has been logged so far, over all runs. */
  get logs(): ReadonlyArray<LogLine> {
    return [...this.#earlier, ...this.#run.lines]
  }

  /** The line with which the current run said that it is ready. */
  get readyLine(): LogLine | undefined {
    return this.#run.lines.find((line) => line.message === this.#readyMessage)
  }

  fetch(path: string, init?: RequestInit): Promise<Response> {
    return fetch(`${this.#url}${path}`, { redirect: "manual", ...init })
  }

  signal(signal: NodeJS.Signals): void {
    this.#run.child.kill(signal)
  }

  /** Waits for the run to end, by itself or after a signal. */
  async ended(): Promise<Ended> {
    const ended = this.#run.ended
    const tooLong = Promise.withResolvers<never>()
    const timer = setTimeout(
      () => tooLong.reject(new Error(`the program did not end within ${EXIT_MS_MAX} ms`)),
      EXIT_MS_MAX
    )
    return Promise.race([ended, tooLong.promise]).finally(() => clearTimeout(timer))
  }

  kill(signal: NodeJS.Signals): Promise<Ended> {
    this.signal(signal)
    return this.ended()
  }

  /** Starts the program again on the same folder and in the same way, after it has ended. */
  async restart(): Promise<void> {
    this.#earlier.push(...this.#run.lines)
    this.#run = spawn(this.folder, this.#env, this.#command)
    await this.#ready()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill("SIGKILL")
    this.#ownFolder?.[Symbol.dispose]()
  }

  async #ready(): Promise<void> {
    const { child, written } = this.#run
    const line = await until(
      "the program is ready",
      () => {
        if (child.exitCode !== null || child.signalCode !== null) {
          throw new Error(`the program ended with code ${child.exitCode}: ${written.stderr}`)
        }
        return this.readyLine
      },
      READY_MS_MAX
    )
    this.#url = String(line.annotations["url"] ?? "").replace(/\/$/, "")
  }
}
