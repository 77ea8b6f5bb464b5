import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { freePort } from "../free-port.ts"
import { leaveBehind, type TemporaryFolder, temporaryFolder } from "../process.ts"
import { until } from "../until.ts"

const READY_MS_MAX = 20_000

/** Large enough for the largest request, sealed. */
const PAYLOAD_BYTES_MAX = 8_388_608

/** Where packages put servers is not on the PATH of everybody. */
export const NATS_SERVER = Bun.which("nats-server", { PATH: `${process.env["PATH"] ?? ""}:/usr/local/sbin:/usr/sbin` })

/** For `itNeeds`. */
export const missingNats = NATS_SERVER === null ? "nats-server is missing: apt-get install nats-server" : undefined

/** A real broker of one's own, on a free port and with its own folder. */
export class NatsServer implements AsyncDisposable {
  readonly port: number
  readonly #folder: TemporaryFolder
  readonly #config: string
  #forget = () => {}
  #child: ReturnType<typeof Bun.spawn> | undefined

  private constructor(extra: string) {
    this.#folder = temporaryFolder()
    this.port = freePort()
    const store = join(this.#folder.path, "jetstream")
    mkdirSync(store)
    this.#config = join(this.#folder.path, "nats.conf")
    writeFileSync(
      this.#config,
      `host: 127.0.0.1\nport: ${this.port}\nmax_payload: ${PAYLOAD_BYTES_MAX}\njetstream { store_dir: "${store}", max_file_store: 1T }\n${extra}\n`
    )
  }

  /** @param extra further lines of its configuration file */
  static async start(extra = ""): Promise<NatsServer> {
    const server = new NatsServer(extra)
    await server.start()
    return server
  }

  get url(): string {
    return `nats://127.0.0.1:${this.port}`
  }

  get folder(): string {
    return this.#folder.path
  }

  /** Starts it, again after `kill`: on the same port and with what it has stored. */
  async start(): Promise<void> {
    const child = Bun.spawn([NATS_SERVER ?? "nats-server", "-c", this.#config], {
      stdin: "ignore",
      stdout: "ignore",
      stderr: "ignore"
    })
    this.#child = child
    this.#forget = leaveBehind(() => child.kill("SIGKILL"))
    await until(
      "nats-server answers",
      async () => {
        if (child.exitCode !== null) throw new Error(`nats-server ended with code ${child.exitCode}`)
        return isListening(this.port)
      },
      READY_MS_MAX
    )
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal)
  }

  async kill(): Promise<void> {
    this.#child?.kill("SIGKILL")
    await this.#child?.exited
    this.#forget()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill()
    this.#folder[Symbol.dispose]()
  }
}

const isListening = (port: number): Promise<boolean> => {
  const { promise, resolve } = Promise.withResolvers<boolean>()
  Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: {
      data: (socket) => {
        socket.end()
        resolve(true)
      },
      connectError: () => resolve(false)
    }
  }).catch(() => resolve(false))
  return promise
}
