import type { StorageError } from "@event-service-agent/platform/storage-error"
import { UnitOfWork } from "@event-service-agent/platform/transaction"
import { type CorrelationId, callName, type ServiceCallKey, type TenantId } from "@event-service-agent/schemas/ids"
import { toMillis } from "@event-service-agent/schemas/time"
import { Context, type DateTime, Effect, Layer, Option } from "effect"

/** An armed timer. A service call has at most one. */
export interface Timer {
  readonly key: ServiceCallKey
  readonly dueAt: DateTime.Utc
  /** The revision of the call that armed the timer; it is the revision of the timer, too. */
  readonly version: number
  readonly correlationId: CorrelationId
  /** The span that armed it, if that was exported. */
  readonly traceparent?: string | undefined
}

/** The armed timers. One that fires is no longer there. */
export class TimerStore extends Context.Service<
  TimerStore,
  {
    /** Arms the call's timer in place of the one it had. */
    readonly upsert: (timer: Timer) => Effect.Effect<void, StorageError, UnitOfWork>
    /** Disarms the call's timer, if it has one. */
    readonly remove: (key: ServiceCallKey) => Effect.Effect<void, StorageError, UnitOfWork>
    /** Deletes the timers that are due at `now` or before, and returns them: oldest first, at most `limit`. */
    readonly takeDueAcrossTenants: (
      now: DateTime.Utc,
      limit: number
    ) => Effect.Effect<ReadonlyArray<Timer>, StorageError, UnitOfWork>
    /**
     * Deletes and returns due timers of the tenants that follow on one, in the order of their ids: of each the oldest
     * ones, at most `timers`, for `tenants` tenants, whether or not they have any. `null` stands for the start of the
     * round, and comes back at its end.
     */
    readonly takeDueOfNextTenants: (
      after: TenantId | null,
      now: DateTime.Utc,
      limits: { readonly tenants: number; readonly timers: number }
    ) => Effect.Effect<
      { readonly timers: ReadonlyArray<Timer>; readonly last: TenantId | null },
      StorageError,
      UnitOfWork
    >
    /**
     * When the next timer is due; none when nothing is armed. Part of a unit, so that it sees the unit's own writes and
     * no commit comes between the answer and its use.
     */
    readonly earliestAcrossTenants: Effect.Effect<Option.Option<DateTime.Utc>, StorageError, UnitOfWork>
  }
>()("@event-service-agent/timer/TimerStore") {
  static readonly layerMemory = Layer.sync(TimerStore, () => makeMemory())
}

interface Row {
  readonly name: string
  readonly dueAt: number
  readonly timer: Timer
}

const makeMemory = (): TimerStore["Service"] => {
  const byName = new Map<string, Row>()
  const inOrder: Array<Row> = []

  const insert = (row: Row) => {
    byName.set(row.name, row)
    inOrder.splice(placeOf(row, inOrder), 0, row)
  }
  const drop = (row: Row) => {
    byName.delete(row.name)
    inOrder.splice(placeOf(row, inOrder), 1)
  }
  const dropNamed = (name: string, unit: UnitOfWork["Service"]) => {
    const row = byName.get(name)
    if (row === undefined) return
    drop(row)
    unit.onRollback(() => insert(row))
  }

  return {
    upsert: (timer) =>
      Effect.map(UnitOfWork, (unit) => {
        const row = { name: callName(timer.key), dueAt: toMillis(timer.dueAt), timer }
        dropNamed(row.name, unit)
        insert(row)
        unit.onRollback(() => drop(row))
      }),
    remove: (key) => Effect.map(UnitOfWork, (unit) => dropNamed(callName(key), unit)),
    takeDueAcrossTenants: (now, limit) =>
      Effect.map(UnitOfWork, (unit) => {
        const firstLater = inOrder.slice(0, limit).findIndex((row) => row.dueAt > toMillis(now))
        const taken = inOrder.splice(0, firstLater === -1 ? limit : firstLater)
        for (const row of taken) byName.delete(row.name)
        unit.onRollback(() => taken.forEach(insert))
        return taken.map((row) => row.timer)
      }),
    takeDueOfNextTenants: (after, now, limits) =>
      Effect.map(UnitOfWork, (unit) => {
        const tenants = [...new Set(inOrder.map((row) => row.timer.key.tenantId))]
          .sort()
          .filter((tenant) => after === null || tenant > after)
          .slice(0, limits.tenants)
        const taken = tenants.flatMap((tenant) =>
          inOrder
            .filter((row) => row.timer.key.tenantId === tenant && row.dueAt <= toMillis(now))
            .slice(0, limits.timers)
        )
        for (const row of taken) dropNamed(row.name, unit)
        return {
          timers: taken.map((row) => row.timer),
          last: tenants.length < limits.tenants ? null : (tenants.at(-1) ?? null)
        }
      }),
    earliestAcrossTenants: Effect.sync(() => Option.map(Option.fromUndefinedOr(inOrder[0]), (row) => row.timer.dueAt))
  }
}

/** Where the row is, or belongs, among rows in order of due time and name. A binary search: tests arm thousands. */
const placeOf = (row: Row, rows: ReadonlyArray<Row>): number => {
  let low = 0
  let high = rows.length
  while (low < high) {
    const middle = (low + high) >>> 1
    const other = rows[middle]
    if (other !== undefined && isBefore(other, row)) low = middle + 1
    else high = middle
  }
  return low
}

const isBefore = (a: Row, b: Row): boolean => a.dueAt < b.dueAt || (a.dueAt === b.dueAt && a.name < b.name)
