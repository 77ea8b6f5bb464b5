import { StorageError } from "@event-service-agent/platform/storage-error"
import type { MessageDraft } from "@event-service-agent/schemas/messages/catalogue"
import { Cause, type Context, Exit, Layer, Scope } from "effect"
import { Random } from "../random.ts"
import type { Disk } from "./disk.ts"
import { layerProgram, loggerTo, type Mutant, type Services } from "./program.ts"
import { Process, Simulator } from "./simulator.ts"
import { makeTarget } from "./target.ts"
import { makePlan, type Plan } from "./workload.ts"

/** What can go wrong, with its highest probability at each occasion. A seed has about half of them, each less likely. */
const FAULTS = {
  "crash at a task": 1,
  "crash before a commit": 0.02,
  "crash after a commit": 0.02,
  "crash before a send": 0.2,
  "crash when the target has the request": 0.2,
  "crash when the target has answered": 0.2,
  "crash when the answer is in": 0.2,
  "a freeze after a commit": 0.01,
  "the clock jumps ahead after a commit": 0.01,
  "begin fails": 0.03,
  "commit fails": 0.03,
  "the storage ends a transaction": 0.02,
  "a statement fails": 0.02,
  "a handler fails": 0.03,
  "a handler runs twice": 0.2,
  "a handled message comes again": 0.2
} as const
export type Fault = keyof typeof FAULTS

const CRASHES_MAX = 8

type Client = (process: Process, services: Context.Context<Services>) => void

/** One machine with its disk, its clock, a target and all that goes wrong, as the seed has it. */
/** What somebody was told to do with a call. */
export interface Command extends Pick<MessageDraft, "type" | "payload"> {
  readonly serviceCallId: string
  /** The highest seq of a message that was written before. */
  readonly afterSeq: number
}

export class World {
  readonly random: Random
  readonly simulator: Simulator
  readonly plan: Plan
  readonly disk: Disk
  readonly mutant: Mutant
  readonly target: ReturnType<typeof makeTarget>
  /** Violations that show while the world runs. */
  readonly alarms: Array<string> = []
  /** The commits that wrote messages: the highest seq, and when it was on disk, in milliseconds of the simulator. */
  readonly commits: Array<{ readonly seq: number; readonly at: number }> = []
  /** Some worlds have no faults at all: in them nothing may be late. */
  isFaulty: boolean
  /** Those that were published, and not rolled back: the outbox keeps none that was carried out at once. */
  readonly commands: Array<Command> = []
  /** While true, no unit can begin, as on a full disk. */
  isOutage = false
  /** The delivery that was handled last. */
  settledSeq = 0
  /** The latest trouble, in milliseconds of the simulator. */
  lastFaultAt = 0
  /** When each process started, in milliseconds of the simulator, and whether the one before could drain in peace. */
  readonly starts: Array<{ readonly at: number; readonly isAfterDrain: boolean }> = []
  hasFrozen = false
  readonly #rates = new Map<Fault, number>()
  #crashesLeft: number
  #scope = Scope.makeUnsafe()
  /** What the process that runs offers to clients; `undefined` until it has started. */
  #services: Context.Context<Services> | undefined
  readonly #waiting: Array<Client> = []

  constructor(seed: number, disk: Disk, mutant: Mutant = (storage) => storage) {
    this.random = new Random(seed)
    this.simulator = new Simulator(this.random)
    this.disk = disk
    this.mutant = mutant
    this.plan = makePlan(this.random)
    this.target = makeTarget(this)
    this.isFaulty = this.random.chance(0.9)
    this.#crashesLeft = this.random.between(0, CRASHES_MAX)
    for (const [fault, most] of Object.entries(FAULTS)) {
      this.#rates.set(fault as Fault, this.random.chance(0.5) ? 0 : most * this.random.next()) // the keys of FAULTS
    }
  }

  /** Whether this happens now. */
  happens(fault: Fault): boolean {
    const isNow = this.isFaulty && this.random.chance(this.#rates.get(fault) ?? 0)
    if (isNow) this.simulator.note(fault)
    return isNow
  }

  /** Whether this happens now; it may hold things up. */
  strikes(fault: Fault): boolean {
    const isNow = this.happens(fault)
    if (isNow) this.lastFaultAt = this.simulator.now
    return isNow
  }

  /** Whether the process dies now. */
  crashes(fault: Fault): boolean {
    if (this.#crashesLeft === 0 || !this.simulator.process?.isAlive || !this.strikes(fault)) return false
    this.#crashesLeft--
    this.kill(this.random.between(0, 5_000))
    return true
  }

  /** Runs the client now, or once a process has started. */
  whenUp(client: Client): void {
    const { process } = this.simulator
    if (process === undefined || this.#services === undefined) this.#waiting.push(client)
    else client(process, this.#services)
  }

  /** Nothing goes wrong from now on. */
  calm(): void {
    this.isFaulty = false
    this.simulator.note("calm")
    if (this.isOutage) this.#endOutage()
  }

  /** Like SIGSTOP and, later, SIGCONT. */
  freeze(millis: number): void {
    this.hasFrozen = true
    this.simulator.process?.freeze(millis, () => this.disturb("thawed"))
  }

  setAhead(millis: number): void {
    this.simulator.setWall(this.simulator.wall() + millis)
  }

  setBack(millis: number): void {
    this.simulator.setWall(this.simulator.wall() - millis)
  }

  outage(millis: number): void {
    this.isOutage = true
    this.simulator.after(millis, () => this.#endOutage())
  }

  #endOutage(): void {
    this.isOutage = false
    this.disturb("the outage is over")
  }

  disturb(what: string): void {
    this.lastFaultAt = this.simulator.now
    this.simulator.note(what)
  }

  /** Like SIGKILL. What was not committed is gone; after the downtime the next process starts. */
  kill(downMs: number, isDrained = false): void {
    this.simulator.process?.kill()
    this.#services = undefined
    this.disk.rollback()
    this.simulator.after(downMs, () => this.start(isDrained))
  }

  /** Like SIGTERM: the process drains, ends, and after the downtime the next one starts. */
  stop(downMs: number): void {
    const { process } = this.simulator
    if (this.#services === undefined) return
    this.#services = undefined
    const { lastFaultAt } = this
    process?.fork(Scope.close(this.#scope, Exit.void), () => {
      const isDrained = lastFaultAt === this.lastFaultAt && !this.isOutage
      this.disturb("stopped")
      this.kill(downMs, isDrained)
    })
  }

  start(isAfterDrain = false): void {
    const process = new Process(this.simulator, loggerTo(this.alarms))
    this.simulator.process = process
    this.#scope = Scope.makeUnsafe()
    this.starts.push({ at: this.simulator.now, isAfterDrain })
    this.disturb(`start ${this.starts.length}`)
    if (this.isFaulty) process.tasksLeft = this.random.between(1, 1_000)
    process.onTasksDone = () => this.crashes("crash at a task")
    process.fork(Layer.buildWithScope(layerProgram(this, process), this.#scope), (exit) => {
      if (Exit.isFailure(exit)) return this.#startFailed(exit.cause)
      this.#services = exit.value
      for (const client of this.#waiting.splice(0)) client(process, exit.value)
    })
  }

  /** The program ends with an error when the storage refuses at the start, and whoever watches it starts it again. */
  #startFailed(cause: Cause.Cause<unknown>): void {
    if (!(Cause.squash(cause) instanceof StorageError)) this.alarms.push(`the start failed: ${Cause.pretty(cause)}`)
    this.disturb("the start failed")
    this.kill(1_000)
  }
}
