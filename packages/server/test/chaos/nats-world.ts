import { join } from "node:path"
import { startExecutor } from "../nats/executor.ts"
import { NatsServer } from "../nats/nats-server.ts"
import { type Command, Service } from "../process.ts"
import type { Load } from "./load.ts"
import { EXECUTORS, type Part } from "./nats-plan.ts"

const SEND_FIRST: Command = [process.execPath, join(import.meta.dirname, "executor-send-first.ts")]
/** Calls that one executor has in flight at most. */
export const EXECUTOR_IN_FLIGHT_MAX = 30
/** Calls that have been released and not ended, those of dead executors among them. */
const IN_FLIGHT_MAX = 200

export interface WorldOptions {
  readonly folder: string
  readonly targetHost: string
  readonly load: Load
  /** Executors that are broken on purpose. */
  readonly mutant: "send-first" | undefined
}

/** A broker, the service, which sends no first attempts itself, and two executors. */
export class NatsWorld implements AsyncDisposable {
  readonly nats: NatsServer
  readonly service: Service
  readonly executors: ReadonlyMap<Part, Service>
  readonly #load: Load

  private constructor(nats: NatsServer, service: Service, executors: ReadonlyMap<Part, Service>, load: Load) {
    this.nats = nats
    this.service = service
    this.executors = executors
    this.#load = load
    load.url = service.url
  }

  static async start({ folder, targetHost, load, mutant }: WorldOptions): Promise<NatsWorld> {
    await using stack = new AsyncDisposableStack()
    const nats = stack.use(await NatsServer.start())
    const env = { NATS_URL: nats.url, EGRESS_ALLOW: targetHost }
    const settings = { EXECUTE_HERE: "off", NATS_REPUBLISH_AFTER: "2s", IN_FLIGHT_MAX: String(IN_FLIGHT_MAX) }
    const service = stack.use(await Service.start({ ...env, ...settings }, { folder }))
    const executors = new Map<Part, Service>()
    for (const name of EXECUTORS) {
      const places = { IN_FLIGHT_MAX: String(EXECUTOR_IN_FLIGHT_MAX) }
      const command = mutant === undefined ? undefined : SEND_FIRST
      executors.set(name, stack.use(await startExecutor(folder, { ...env, ...places }, command)))
    }
    const world = new NatsWorld(nats, service, executors, load)
    stack.move()
    return world
  }

  /** Kills the parts with SIGKILL, all at once. Returns what was wrong with them before. */
  async kill(parts: ReadonlyArray<Part>): Promise<ReadonlyArray<string>> {
    if (parts.includes("service")) this.#load.url = undefined
    const problems = await Promise.all(
      parts.map(async (part) => {
        if (part === "broker") {
          await this.nats.kill()
          return []
        }
        const { exitCode, stderr } = await this.#programOf(part).kill("SIGKILL")
        return exitCode === null && stderr === "" ? [] : [`the ${part} had ended with code ${exitCode}: ${stderr}`]
      })
    )
    return problems.flat()
  }

  /** Starts again what was killed, all at once, and waits until it is ready. */
  async restart(parts: ReadonlyArray<Part>): Promise<void> {
    await Promise.all(parts.map((part) => (part === "broker" ? this.nats.start() : this.#programOf(part).restart())))
    this.#load.url = this.service.url
  }

  /** Stops the executors as an operator does. Returns what was wrong with that. */
  async stopExecutors(): Promise<ReadonlyArray<string>> {
    const ended = await Promise.all([...this.executors.values()].map((executor) => executor.kill("SIGTERM")))
    return ended.flatMap(({ exitCode, stderr }) =>
      exitCode === 0 && stderr === "" ? [] : [`the stop of an executor ended with code ${exitCode}: ${stderr}`]
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const executor of this.executors.values()) await executor[Symbol.asyncDispose]()
    await this.service[Symbol.asyncDispose]()
    await this.nats[Symbol.asyncDispose]()
  }

  #programOf(part: Part): Service {
    return this.executors.get(part) ?? this.service
  }
}
