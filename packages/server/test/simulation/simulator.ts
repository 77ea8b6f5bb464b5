import { Clock, Context, Duration, Effect, type Exit, Logger, References, Scheduler } from "effect"
import { WebCrypto } from "effect/crypto"
import type { Random } from "../random.ts"

/** The wall clock shows this when a world begins: milliseconds since 1970. */
export const START = Date.UTC(2027, 0, 1)

type Task = () => void

interface Event {
  readonly at: number
  readonly run: Task
}

/**
 * One machine: a monotonic clock, a wall clock that can be set, what is to happen at which time, and at most one process.
 * Nothing in it waits for real time, so a world is one synchronous run. `TestClock` cannot do that: it hands tasks to the
 * event loop, sets the wall clock and all sleeps together, and cannot drop or freeze a process.
 */
export class Simulator {
  readonly random: Random
  /** Milliseconds since the world began, which nobody can set. */
  now = 0
  /** Milliseconds since 1970 at `now` 0, by the wall clock. */
  wallStart = START
  /** The latest that the wall clock has ever shown. */
  wallMax = START
  process: Process | undefined
  /** Tasks that processes have run so far. */
  tasks = 0
  /** What happened, for whoever looks into a failure. */
  readonly trace: Array<string> = []
  readonly #events: Array<Event> = []

  constructor(random: Random) {
    this.random = random
  }

  note(text: string): void {
    this.trace.push(`${(this.now / 1_000).toFixed(3)} ${text}`)
  }

  wall(): number {
    return this.wallStart + this.now
  }

  setWall(millis: number): void {
    this.wallStart = millis - this.now
    this.wallMax = Math.max(this.wallMax, millis)
  }

  /** Runs the task after some milliseconds. Returns how to prevent that. */
  after(millis: number, run: Task): Task {
    const event = { at: this.now + millis, run }
    const place = this.#events.findLastIndex(({ at }) => at <= event.at) + 1
    this.#events.splice(place, 0, event)
    return () => {
      const index = this.#events.indexOf(event)
      if (index !== -1) this.#events.splice(index, 1)
    }
  }

  /** Runs one task of the process, or else what is to happen next. */
  step(): void {
    if (this.process?.runTask() === true) {
      // Work takes time now and then, so that what happens meanwhile can come between two tasks.
      if (this.random.chance(0.005)) this.#pass(this.random.between(1, 20))
      return
    }
    const event = this.#events[0]
    if (event === undefined) throw new Error("nothing is left to happen")
    this.#pass(event.at - this.now)
  }

  #pass(millis: number): void {
    const end = this.now + millis
    for (let event = this.#events[0]; event !== undefined && event.at <= end; event = this.#events[0]) {
      this.#events.shift()
      this.#setNow(Math.max(this.now, event.at))
      event.run()
    }
    this.#setNow(end)
  }

  #setNow(millis: number): void {
    this.now = millis
    this.wallMax = Math.max(this.wallMax, this.wall())
  }
}

/**
 * One start of the program. Killed, it has no effect any more: not a task, not a finalizer. Its tasks run in a random
 * order, but for those of one fiber's dispatcher, which Effect keeps in order.
 */
export class Process {
  readonly simulator: Simulator
  isAlive = true
  /** The task at which the process is killed. */
  tasksLeft = Number.POSITIVE_INFINITY
  onTasksDone: Task = () => {}
  #isFrozen = false
  readonly #ready: Array<Array<Task>> = []
  readonly #context: Context.Context<never>

  constructor(simulator: Simulator, logger: Logger.Logger<unknown, void>) {
    this.simulator = simulator
    this.#context = Context.make(Clock.Clock, this.#clock()).pipe(
      Context.add(Scheduler.Scheduler, this.#scheduler()),
      Context.add(WebCrypto.WebCrypto, seededCrypto(simulator.random)),
      Context.add(References.MinimumLogLevel, "Error"),
      Context.add(Logger.CurrentLoggers, new Set([logger]))
    )
  }

  /** Runs the effect in this process. `onEnd` is not called when the process is killed first. */
  fork<A, E>(effect: Effect.Effect<A, E>, onEnd: (exit: Exit.Exit<A, E>) => void = () => {}): void {
    this.enqueue(() => {
      Effect.runForkWith(this.#context)(effect).addObserver((exit) => {
        if (this.isAlive) onEnd(exit)
      })
    })
  }

  enqueue(task: Task): void {
    if (this.isAlive) this.#ready.push([task])
  }

  kill(): void {
    this.isAlive = false
    this.#ready.length = 0
  }

  /** Stops and goes on like SIGSTOP and SIGCONT: time passes, and nobody in the process sees it pass. */
  freeze(millis: number, onThaw: Task): void {
    this.#isFrozen = true
    this.simulator.after(millis, () => {
      this.#isFrozen = false
      onThaw()
    })
  }

  /** False when there is none that could run. */
  runTask(): boolean {
    if (this.#isFrozen || this.#ready.length === 0) return false
    const index = this.simulator.random.between(0, this.#ready.length - 1)
    const tasks = this.#ready[index]
    const task = tasks?.shift()
    if (tasks?.length === 0) this.#ready.splice(index, 1)
    this.simulator.tasks++
    task?.()
    if (this.isAlive && --this.tasksLeft === 0) this.onTasksDone()
    return true
  }

  #scheduler(): Scheduler.Scheduler {
    return {
      executionMode: "async",
      // A killed process stops within the fiber that runs: what it yields is dropped.
      shouldYield: (fiber) => !this.isAlive || fiber.currentOpCount >= fiber.cache.maxOpsBeforeYield,
      makeDispatcher: () => {
        const tasks: Array<Task> = []
        return {
          scheduleTask: (task) => {
            if (!this.isAlive) return
            if (tasks.push(task) === 1) this.#ready.push(tasks)
          },
          flush: () => {}
        }
      }
    }
  }

  /** Sleeps are timeouts on the monotonic clock, which setting the wall clock leaves alone. */
  #clock(): Clock.Clock {
    const { simulator } = this
    const millis = () => simulator.wall()
    const nanos = () => BigInt(simulator.wall()) * 1_000_000n
    const monotonic = () => BigInt(simulator.now) * 1_000_000n
    return {
      currentTimeMillisUnsafe: millis,
      currentTimeMillis: Effect.sync(millis),
      currentTimeNanosUnsafe: nanos,
      currentTimeNanos: Effect.sync(nanos),
      monotonicTimeNanosUnsafe: monotonic,
      monotonicTimeNanos: Effect.sync(monotonic),
      sleep: (duration) =>
        Effect.callback<void>((resume) => {
          const cancel = simulator.after(Math.ceil(Duration.toMillis(duration)), () =>
            this.enqueue(() => resume(Effect.void))
          )
          return Effect.sync(cancel)
        })
    }
  }
}

const seededCrypto = (random: Random): Crypto => ({
  subtle: globalThis.crypto.subtle,
  randomUUID: () => globalThis.crypto.randomUUID(),
  timingSafeEqual: (a, b) => globalThis.crypto.timingSafeEqual(a, b),
  getRandomValues: <A extends NodeJS.ArrayBufferView>(array: A): A => {
    const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength)
    for (const index of bytes.keys()) bytes[index] = random.between(0, 255)
    return array
  }
})
