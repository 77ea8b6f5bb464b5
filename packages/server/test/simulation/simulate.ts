import type { Disk } from "./disk.ts"
import type { Mutant } from "./program.ts"
import { violationsOf } from "./violations.ts"
import { BUSY_MS, planProbe, submit } from "./workload.ts"
import { World } from "./world.ts"

/** Milliseconds in which everything must have come to rest: far more than the promises allow. */
const REST_MS_MAX = 1_800_000
const LOOK_MS = 500
const TROUBLES_MAX = 4
const PROBE_LATER_MS = 2_000
/** Of a process; a world has about 30,000. */
const TASKS_MAX = 1_000_000

export interface Result {
  readonly violations: ReadonlyArray<string>
  /** Everything that was published, and every send: the same for the same seed. */
  readonly log: string
  readonly trace: ReadonlyArray<string>
}

/** Lives one world through: busy and full of trouble at first, then calm until it rests, then checked. */
export const simulate = (seed: number, disk: Disk, mutant?: Mutant): Result => {
  disk.wipe()
  const world = new World(seed, disk, mutant)
  try {
    live(world)
  } catch (cause) {
    world.alarms.push(`the world broke: ${cause}`)
  }
  return { violations: violationsOf(world), log: logOf(world), trace: world.simulator.trace }
}

const live = (world: World): void => {
  const { random, simulator, plan, disk } = world
  world.start()
  let open = plan.calls.length
  const done = () => {
    open--
  }
  for (const call of plan.calls) simulator.after(call.submitAt, () => submit(world, call, done))
  for (let count = random.between(0, TROUBLES_MAX); count > 0; count--) trouble(world)
  run(world, () => simulator.now >= BUSY_MS && open === 0)
  leap(world)
  world.calm()
  const rests = () => open === 0 && disk.openRows() === 0
  run(world, rests)

  open = probe(world, done)
  run(world, rests)
}

/** Until the condition holds, which is looked at every half second. */
const run = ({ simulator }: World, isDone: () => boolean): void => {
  const end = simulator.now + REST_MS_MAX
  let nextLook = simulator.now
  while (simulator.now < end) {
    if (simulator.tasks > TASKS_MAX) throw new Error("it works for ever without a pause")
    if (simulator.now >= nextLook) {
      if (isDone()) return
      nextLook = simulator.now + LOOK_MS
      simulator.after(LOOK_MS, () => {})
    }
    simulator.step()
  }
}

/** Something that happens to the machine at some time. */
const trouble = (world: World): void => {
  const { random, simulator } = world
  const what = random.pick(["stop", "freeze", "outage", "forwards", "backwards"] as const)
  const millis = random.pick([random.between(1, 1_000), random.between(1_000, 40_000)])
  simulator.after(random.between(0, BUSY_MS), () => {
    if (!world.isFaulty) return
    world.disturb(`${what} for ${millis} ms`)
    if (what === "stop") world.stop(millis)
    if (what === "freeze") world.freeze(millis)
    if (what === "forwards") world.setAhead(millis)
    if (what === "backwards") world.setBack(millis)
    if (what === "outage") world.outage(millis)
  })
}

/** To the last due time: while no process runs, or by a clock that is set. */
const leap = (world: World): void => {
  const { simulator, random, disk } = world
  const lastDueAt = disk.lastDueAt()
  const millis = lastDueAt - simulator.wall()
  if (millis < BUSY_MS) return
  world.disturb(`leap of ${millis} ms`)
  if (simulator.process?.isAlive && random.chance(0.5)) {
    world.kill(millis)
    while (!simulator.process.isAlive) simulator.step()
  } else simulator.setWall(lastDueAt)
}

/** As many calls as there are places, and as many when those have ended. Returns how many. */
const probe = (world: World, done: () => void): number => {
  const { calls, caps } = world.plan
  const tenants = Math.ceil(caps.total / caps.perTenant)
  for (let place = 0; place < 2 * caps.total; place++) {
    const call = planProbe(calls.length, place % tenants, place < caps.total ? 0 : PROBE_LATER_MS)
    calls.push(call)
    submit(world, call, done)
  }
  return 2 * caps.total
}

/** Without the sealed requests: their nonces are truly random. */
/** The ids of messages are random; here each is the number of its message, or that of a command, which has no row. */
const logOf = ({ disk, target }: World): string => {
  const messages = disk.messages()
  const numbers = new Map(messages.map(({ message_id, seq }) => [message_id, seq]))
  const rows = messages.map(({ sealed, message_id, causation_id, ...message }) => ({
    ...message,
    cause: causation_id === null ? null : (numbers.get(causation_id) ?? "a command"),
    sealed: sealed !== null
  }))
  return [...rows, ...target.sends].map((entry) => JSON.stringify(entry)).join("\n")
}
