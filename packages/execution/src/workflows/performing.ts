import { callName } from "@event-service-agent/schemas/ids"
import { toMillis } from "@event-service-agent/schemas/time"
import type { DateTime } from "effect"
import { type Lease, leaseMs } from "../domain/attempt.ts"

type AttemptName = Pick<Lease, "key" | "number">

/** Milliseconds for which a result that the storage refused is waited for. Its executor reports it again much sooner. */
export const REFUSED_REPORT_MS = 30_000

/** Milliseconds after a start for which a result is waited for whose lease ended meanwhile: executors report each second. */
export const RESUMED_REPORT_MS = 3_000

interface Held {
  readonly lease: Lease
  /** On the monotonic clock. */
  readonly leaseEndNanos: bigint
  /** Until then the sweep leaves the attempt alone; `null` while there is no end to that. */
  readonly heldUntilNanos: bigint | null
}

/**
 * The open attempts of this process and of all executors, each with the end of its lease on the monotonic clock: until
 * then the sweep leaves it alone, whatever the clock of the day says.
 */
export type Performing = Map<string, Held>

/** From now on the sweep leaves the attempt alone, for as long as its lease lasts. */
export const beginPerforming = (performing: Performing, attempt: Lease, claimedAtNanos: bigint): void => {
  const { key, number, processId, isRemote, startedAt, deadlineAt } = attempt
  const lease = { key, number, processId, isRemote, startedAt, deadlineAt }
  const leaseEndNanos = claimedAtNanos + nanosOf(leaseMs(lease))
  performing.set(nameOf(lease), { lease, leaseEndNanos, heldUntilNanos: leaseEndNanos })
}

/**
 * Takes up the attempt of an executor that an earlier process granted. How much of the lease is over, only the clock of
 * the day can say.
 */
export const resumePerforming = (performing: Performing, lease: Lease, now: DateTime.Utc, nowNanos: bigint): void => {
  const goneMs = elapsedMsOf(lease, now)
  beginPerforming(performing, lease, nowNanos - nanosOf(goneMs))
  if (leaseMs(lease) - goneMs < RESUMED_REPORT_MS) hold(performing, lease, nowNanos + nanosOf(RESUMED_REPORT_MS))
}

/** The attempt's result only waits for the storage, which has no end. */
export const holdResult = (performing: Performing, attempt: AttemptName): void => hold(performing, attempt, null)

/** The storage refused the result of an executor's attempt, which the executor will report again. */
export const holdRefused = (
  performing: Performing,
  attempt: AttemptName,
  executorId: string,
  nowNanos: bigint
): void => {
  const held = performing.get(nameOf(attempt))
  if (!held?.lease.isRemote || held.lease.processId !== executorId) return
  const untilNanos = nowNanos + nanosOf(REFUSED_REPORT_MS)
  if (untilNanos > held.leaseEndNanos) hold(performing, attempt, untilNanos)
}

/** The attempt has ended. */
export const endPerforming = (performing: Performing, attempt: AttemptName): void => {
  performing.delete(nameOf(attempt))
}

/** Whether an attempt that looks overdue may still be ended by who claimed it. */
export const isPerforming = (performing: Performing, attempt: AttemptName, nowNanos: bigint): boolean => {
  const held = performing.get(nameOf(attempt))
  return held !== undefined && (held.heldUntilNanos === null || nowNanos < held.heldUntilNanos)
}

/** Milliseconds of the attempt's lease that are over. */
export const elapsedMs = (performing: Performing, attempt: Lease, now: DateTime.Utc, nowNanos: bigint): number => {
  const held = performing.get(nameOf(attempt))
  // It is being claimed in this very commit.
  if (held === undefined) return elapsedMsOf(attempt, now)
  return leaseMs(attempt) - Math.floor(Number(held.leaseEndNanos - nowNanos) / 1_000_000)
}

/** The attempts whose time is over by the monotonic clock, at most `limit`. */
export const leasesOver = (performing: Performing, nowNanos: bigint, limit: number): ReadonlyArray<Lease> => {
  const over: Array<Lease> = []
  for (const { lease } of performing.values()) {
    if (over.length === limit) break
    if (!isPerforming(performing, lease, nowNanos)) over.push(lease)
  }
  return over
}

const hold = (performing: Performing, attempt: AttemptName, heldUntilNanos: bigint | null): void => {
  const held = performing.get(nameOf(attempt))
  if (held !== undefined) performing.set(nameOf(attempt), { ...held, heldUntilNanos })
}

/** By the clock of the day, which may have been set in between. */
const elapsedMsOf = (lease: Lease, now: DateTime.Utc): number =>
  Math.min(Math.max(0, toMillis(now) - toMillis(lease.startedAt)), leaseMs(lease))

const nameOf = ({ key, number }: AttemptName): string => `${callName(key)}/${number}`
const nanosOf = (millis: number): bigint => BigInt(millis) * 1_000_000n
