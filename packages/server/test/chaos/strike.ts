import { existsSync, readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { type Command, type Environment, Service } from "../process.ts"
import type { Load } from "./load.ts"
import { backlogOf } from "./observe.ts"
import { isFailpoint, type PlannedKill } from "./plan.ts"

const FAULTY: Command = [process.execPath, join(import.meta.dirname, "faulty-main.ts")]
/** Small enough for calls to wait for a place. */
export const IN_FLIGHT_MAX = 60
const POLL_MS = 20
/** The exit code of a process that a signal ended. */
const BY_SIGNAL = null

export interface Victim {
  readonly folder: string
  readonly signal: "SIGKILL" | "SIGTERM"
  readonly mutant?: "send-first" | undefined
  readonly targetHost: string
  readonly load: Load
  /** The target calls it for each request it has got. */
  onArrival: () => void
  /** Milliseconds from a signal to the exit, the longest. */
  slowestExitMs: number
}

/** Starts the service, with the kill's fault in it if that is a failpoint. */
export const startService = ({ folder, mutant, targetHost }: Victim, kill?: PlannedKill): Promise<Service> => {
  const faults: Environment = {
    ...(kill !== undefined && isFailpoint(kill.kind)
      ? { CHAOS_FAILPOINT: kill.kind, CHAOS_HIT: String(kill.hit), CHAOS_FIRED: firedFile(folder) }
      : {}),
    ...(mutant === undefined ? {} : { CHAOS_MUTANT: mutant })
  }
  const isFaulty = Object.keys(faults).length > 0
  const env = { EGRESS_ALLOW: targetHost, IN_FLIGHT_MAX: String(IN_FLIGHT_MAX), ...faults }
  return Service.start(env, { folder, ...(isFaulty ? { command: FAULTY } : {}) })
}

/**
 * One life of the service, from start to kill. Returns what went otherwise than planned.
 *
 * @param earlier the number of submissions that belong to the kills before this one
 */
export const strike = async (victim: Victim, kill: PlannedKill, earlier: number): Promise<string | undefined> => {
  const { folder, load } = victim
  try {
    await using service = await startService(victim, kill)
    load.url = service.url
    const { isShot, exitCode, stderr } = await lifeOf(service, victim, kill, earlier)
    const isPlanned = isFailpoint(kill.kind) ? hasFired(folder, kill) : isShot
    const isEnd = exitCode === (victim.signal === "SIGKILL" ? BY_SIGNAL : 0)
    return isPlanned && isEnd && stderr === "" ? undefined : `it ended with code ${exitCode}: ${stderr}`
  } catch (error) {
    // Some failpoints come before the service is ready.
    return hasFired(folder, kill) ? undefined : String(error)
  } finally {
    load.url = undefined
    victim.onArrival = () => {}
    load.onAcknowledged = () => {}
    rmSync(firedFile(folder), { force: true })
  }
}

const lifeOf = async (service: Service, victim: Victim, kill: PlannedKill, earlier: number) => {
  const ended = service.ended()
  let shotAt: number | undefined
  const shoot = () => {
    shotAt = performance.now()
    service.signal(victim.signal)
  }
  let passed = 0
  const shootAtHit = () => {
    if (++passed === kill.hit) shoot()
  }
  if (kill.kind === "after-acknowledgement") victim.load.onAcknowledged = shootAtHit
  if (kill.kind === "after-bytes-left") victim.onArrival = shootAtHit
  if (kill.kind === "random") {
    let isAlive = true
    const die = () => {
      isAlive = false
    }
    ended.then(die, die)
    const isBehind = () => victim.load.receipts.length < earlier || backlogOf(service.dbPath) > IN_FLIGHT_MAX
    while (isAlive && kill.catchesUp && isBehind()) await Bun.sleep(POLL_MS)
    await Promise.race([Bun.sleep(kill.afterMs), ended])
    if (isAlive) shoot()
  }
  const end = await ended
  if (shotAt !== undefined) victim.slowestExitMs = Math.max(victim.slowestExitMs, performance.now() - shotAt)
  return { ...end, isShot: shotAt !== undefined }
}

const firedFile = (folder: string): string => join(folder, "fired")

/** Whether the process itself says that this failpoint is what ended it. */
const hasFired = (folder: string, { kind }: PlannedKill): boolean =>
  existsSync(firedFile(folder)) && readFileSync(firedFile(folder), "utf8") === kind
