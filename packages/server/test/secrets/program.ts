import { join } from "node:path"
import { freePort } from "../free-port.ts"
import { until } from "../until.ts"

const MAIN = join(import.meta.dirname, "../../src/main.ts")

const running = new Set<Bun.Subprocess>()

/** Ends what a test that was cut off has left behind. For `afterAll`. */
export const killPrograms = (): void => {
  for (const child of running) child.kill("SIGKILL")
}

/** The real program with any log format, and everything that it has written, over all its runs. */
export class Program implements AsyncDisposable {
  readonly url: string
  written = ""
  readonly #env: Readonly<Record<string, string>>
  #child: Bun.Subprocess<"ignore", "pipe", "pipe"> | undefined
  #reading: Promise<unknown> = Promise.resolve()

  private constructor(port: string, env: Readonly<Record<string, string>>) {
    this.url = `http://127.0.0.1:${port}`
    this.#env = { ...env, PORT: port }
  }

  static async start(folder: string, env: Readonly<Record<string, string>>): Promise<Program> {
    const program = new Program(String(freePort()), { DB_PATH: join(folder, "service.db"), ECHO_PORT: "off", ...env })
    await program.restart()
    return program
  }

  /** Starts the program, after it has ended. */
  async restart(): Promise<void> {
    const child = Bun.spawn([process.execPath, MAIN], {
      env: { PATH: process.env["PATH"] ?? "", ...this.#env },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe"
    })
    running.add(child)
    const read = async (stream: ReadableStream<Uint8Array>) => {
      const decoder = new TextDecoder()
      for await (const chunk of stream) this.written += decoder.decode(chunk, { stream: true })
    }
    this.#child = child
    this.#reading = Promise.all([read(child.stdout), read(child.stderr)])
    await until("the program is ready", () => {
      if (child.exitCode !== null) throw new Error(`the program ended: ${this.written}`)
      return fetch(`${this.url}/health/ready`).then(
        ({ ok }) => ok,
        () => false
      )
    })
  }

  async kill(signal: NodeJS.Signals): Promise<void> {
    this.#child?.kill(signal)
    await this.#child?.exited
    if (this.#child !== undefined) running.delete(this.#child)
    await this.#reading
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill("SIGKILL")
  }
}
