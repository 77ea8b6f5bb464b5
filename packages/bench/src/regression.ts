import { floor } from "./contenders/floor.ts"
import { service } from "./contenders/service.ts"
import { preciseCpuMs } from "./usage.ts"
import { performNow, type Scene, warmUp, withScene } from "./workloads/measurement.ts"

const CALLS = 1_000
const WARM_UP = 1_000
const ROUNDS = 3
const CLIENTS = 64

/** What a call costs the service, in multiples of what it costs the floor: 1 would be as cheap as hand-written code. */
export interface Cost {
  /** Time from the first submission to the last outcome: what users see, and what other work on the machine distorts. */
  readonly time: number
  /** Processor time of the process alone: less distorted. */
  readonly processorTime: number
}

/** A short form of the workload `now`: both take turns, and of each the best round counts. Takes some seconds. */
export const costToFloor = (): Promise<Cost> =>
  withScene(floor, (floorScene) =>
    withScene(service, async (serviceScene) => {
      for (const scene of [floorScene, serviceScene]) await warmUp(scene, WARM_UP, CLIENTS)
      const rounds: Array<{ readonly floor: Spent; readonly service: Spent }> = []
      for (let round = 0; round < ROUNDS; round++) {
        const firstId = WARM_UP + round * CALLS
        rounds.push({ floor: await spend(floorScene, firstId), service: await spend(serviceScene, firstId) })
      }
      const best = (of: (round: (typeof rounds)[number]) => number) => Math.min(...rounds.map(of))
      return {
        time: best((round) => round.service.ms) / best((round) => round.floor.ms),
        processorTime: best((round) => round.service.cpuMs) / best((round) => round.floor.cpuMs)
      }
    })
  )

interface Spent {
  readonly ms: number
  readonly cpuMs: number
}

const spend = async (scene: Scene, firstId: number): Promise<Spent> => {
  const pid = scene.running.pids[0] ?? 0
  const before = preciseCpuMs(pid)
  const { tookMs } = await performNow(scene, firstId, CALLS, CLIENTS)
  return { ms: tookMs, cpuMs: preciseCpuMs(pid) - before }
}
