import type { ServiceCallDetail, WaitingFacts } from "@event-service-agent/orchestration/ports/service-call-reader"
import type { PartHealth } from "@event-service-agent/platform/event-bus"
import type { DeadLetter } from "@event-service-agent/platform/outbox"
import { formatSpan } from "@event-service-agent/schemas/format-span"
import { toMillis } from "@event-service-agent/schemas/time"
import { DateTime, Option } from "effect"

/** Calls that may be in flight, for all tenants together and for each. */
export interface Caps {
  readonly total: number
  readonly perTenant: number
}

/** What the answer is made from. */
export interface Known {
  readonly call: ServiceCallDetail
  readonly waiting: WaitingFacts
  readonly caps: Caps
  readonly now: DateTime.Utc
  /** Why nothing can be written at the moment. */
  readonly storageTrouble: Option.Option<string>
  /** What messages need on their way. */
  readonly health: ReadonlyArray<PartHealth>
  /** Whether who asks may know how much others have to do. */
  readonly seesAll: boolean
  readonly deadLetter: Pick<DeadLetter, "consumer" | "attempts" | "error"> | undefined
}

/** Where a call may wait, and `done`. */
export const GATES = [
  "storage",
  "dead-letter",
  "queued",
  "broker",
  "executor",
  "timer",
  "tenant-cap",
  "global-cap",
  "turn",
  "running",
  "done"
] as const
export type Gate = (typeof GATES)[number]

/** Where the call is on its way: the gate it waits at, or the last one it has passed. */
export const whyOf = (known: Known) => {
  const { call } = known
  return {
    serviceCallId: call.serviceCallId,
    status: call.status,
    ...gateOf(known),
    lateness: latenessOf(call)
  }
}

interface AtGate {
  readonly gate: Gate
  /** For people, a sentence or two. */
  readonly summary: string
  /** When it may go on at the latest without anybody's doing, if that is known; at a cap, when the next place is free. */
  readonly nextWakeUpAt: DateTime.Utc | null
  readonly numbers: Readonly<Record<string, number>>
}

const gateOf = ({ call, waiting, caps, now, health, storageTrouble, seesAll, deadLetter }: Known): AtGate => {
  const troubleOf = (part: PartHealth["part"]) => health.find((one) => one.part === part)?.trouble
  const trouble = troubleOf("bus")
  if (call.outcome !== null) {
    return { gate: "done", summary: endOf(call), nextWakeUpAt: null, numbers: {} }
  }
  if (Option.isSome(storageTrouble)) {
    const summary = `Waits for the storage, which refuses to write. ${storageTrouble.value}.`
    return { gate: "storage", summary, nextWakeUpAt: null, numbers: {} }
  }
  if (deadLetter !== undefined) {
    const { consumer, attempts, error } = deadLetter
    const summary = `The module ${consumer} failed ${attempts} times on a message of this call: ${error}. Replay or discard the dead letter`
    return { gate: "dead-letter", summary, nextWakeUpAt: null, numbers: { attempts } }
  }
  if (waiting.retry !== null) {
    const { consumer, attempts, at } = waiting.retry
    const summary = `The module ${consumer} failed on a message of this call, and tries again; the log says why.`
    return { gate: "queued", summary, nextWakeUpAt: at, numbers: { attempts } }
  }
  const isPast = call.status === "Scheduled" && !waiting.isDue && toMillis(call.dueAt) <= toMillis(now)
  const waitsForMessage = call.status === "Submitted" || isPast || (call.status === "Running" && call.attempt === null)
  if (trouble !== undefined && waitsForMessage) {
    const summary = `Stored; the message that takes it on waits. ${trouble}.`
    return { gate: "broker", summary, nextWakeUpAt: null, numbers: {} }
  }
  const missing = call.status === "Running" && call.attempt === null ? troubleOf("executors") : undefined
  if (missing !== undefined) {
    return {
      gate: "executor",
      summary: `Released; it waits for an executor. ${missing}.`,
      nextWakeUpAt: null,
      numbers: {}
    }
  }
  const behind = trouble === undefined ? "" : ` ${trouble}`
  if (call.status === "Submitted") {
    const summary = `Accepted and stored; orchestration has not taken it over yet.${behind}`
    return { gate: "queued", summary, nextWakeUpAt: null, numbers: {} }
  }
  if (call.status === "Scheduled" && !waiting.isDue) {
    const inMs = toMillis(call.dueAt) - toMillis(now)
    const summary =
      inMs > 0
        ? "Waits for its due time."
        : `Its due time was ${formatSpan(-inMs)} ago, the timer is about to fire.${behind}`
    return {
      gate: "timer",
      summary,
      nextWakeUpAt: isPast ? null : call.dueAt,
      numbers: { dueInMs: inMs, ...(seesAll && { overdueTimers: waiting.overdueTimers }) }
    }
  }
  // Then nobody sends.
  const held = caps.total === 0 ? troubleOf("executors") : undefined
  if (call.status === "Scheduled") {
    if (held === undefined) return waitsForPlace(waiting, caps, seesAll)
    return { gate: "executor", summary: `Due; it waits for an executor. ${held}.`, nextWakeUpAt: null, numbers: {} }
  }
  const { attempt, timeoutMs } = call
  if (attempt === null) {
    const summary = `Released; execution has not claimed its attempt yet.${behind}`
    return { gate: "running", summary, nextWakeUpAt: null, numbers: {} }
  }
  if (held !== undefined) {
    const summary = `Attempt ${attempt.number} was under way in the process before this one; it is ended when sending is on again. ${held}.`
    return { gate: "executor", summary, nextWakeUpAt: null, numbers: { attempt: attempt.number } }
  }
  const runsMs = toMillis(now) - toMillis(attempt.startedAt)
  return {
    gate: "running",
    summary: `Attempt ${attempt.number} runs for ${formatSpan(runsMs)}; it may take ${formatSpan(timeoutMs)}.${behind}`,
    nextWakeUpAt: DateTime.add(attempt.startedAt, { milliseconds: timeoutMs }),
    numbers: { attempt: attempt.number, runsMs, timeoutMs }
  }
}

const waitsForPlace = (waiting: WaitingFacts, caps: Caps, seesAll: boolean): AtGate => {
  const { runningOfTenant, runningOfAll, dueBefore, placeFreeAtOfTenant, placeFreeAtOfAll } = waiting
  const ofAll = seesAll ? { runningOfAll, globalCap: caps.total } : {}
  const numbers = { runningOfTenant, tenantCap: caps.perTenant, ...ofAll, dueBefore }
  const ahead = `Before it: ${dueBefore} of the tenant's calls.`
  const at = (gate: Gate, summary: string, nextWakeUpAt: DateTime.Utc | null = null): AtGate => ({
    gate,
    summary: `${summary} ${ahead}`,
    nextWakeUpAt,
    numbers
  })
  if (runningOfTenant >= caps.perTenant) {
    return at(
      "tenant-cap",
      `Due; of the tenant ${runningOfTenant} calls are in flight, at most ${caps.perTenant} may be (IN_FLIGHT_PER_TENANT_MAX).`,
      placeFreeAtOfTenant
    )
  }
  return runningOfAll >= caps.total
    ? at(
        "global-cap",
        seesAll
          ? `Due; of all tenants ${runningOfAll} calls are in flight, at most ${caps.total} may be (IN_FLIGHT_MAX).`
          : "Due; of all tenants as many calls are in flight as may be (IN_FLIGHT_MAX).",
        seesAll ? placeFreeAtOfAll : null
      )
    : at("turn", "Due; it is released when it is its tenant's turn.")
}

const endOf = ({ outcome }: ServiceCallDetail): string => {
  switch (outcome?.type) {
    case "Succeeded":
      return `It has ended: the target answered ${outcome.response.status}.`
    case "Failed":
      return `It has ended: ${outcome.error.message}. Sent: ${outcome.error.sent}.`
    default:
      return "It was cancelled."
  }
}

/** How the lateness divides, in milliseconds; `null` while the request has not left, or nobody knows when it did. */
const latenessOf = ({ acceptedAt, dueAt, latenessMs, history, attempt }: ServiceCallDetail) => {
  const running = history.find(({ status }) => status === "Running")
  if (latenessMs === null || running === undefined) return null
  const from = Math.max(toMillis(acceptedAt), toMillis(dueAt))
  const released = toMillis(running.at)
  const claimed = attempt === null ? released : toMillis(attempt.startedAt)
  return {
    totalMs: latenessMs,
    /** From the due time until it was released: timer, queue, caps. */
    releaseMs: released - from,
    /** From its release until its attempt was claimed. */
    claimMs: claimed - released,
    /** From the claim until the send: the disk, the look-up of the name, whatever the one thread had to do. */
    sendMs: from + latenessMs - claimed
  }
}
