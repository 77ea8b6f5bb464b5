import { type StorageError, UnitOfWork } from "@event-service-agent/platform/transaction"
import type { ServiceCallKey } from "@event-service-agent/schemas/ids"
import { toMillis } from "@event-service-agent/schemas/time"
import { Context, type DateTime, Effect, Layer, Option } from "effect"
import type { AttemptOutcome, OpenAttempt } from "../domain/attempt.ts"

/** An attempt with what is known of its end. */
export interface RecordedAttempt {
  readonly attempt: OpenAttempt
  /** `null` while it is open. */
  readonly outcome: AttemptOutcome | null
  /** A result that came after the outcome was recorded. It changes nothing, but people can look at it. */
  readonly evidence: AttemptOutcome | null
}

/** The attempts and their outcomes. A call has at most one attempt, an attempt at most one outcome. */
export class AttemptStore extends Context.Service<
  AttemptStore,
  {
    /** Keeps the attempt as the call's only one. False when the call has one: a repeated message. */
    readonly claim: (attempt: OpenAttempt) => Effect.Effect<boolean, StorageError, UnitOfWork>
    /** Records how an open attempt ended. False when there is none, or it has ended before. */
    readonly close: (
      key: ServiceCallKey,
      number: number,
      outcome: AttemptOutcome
    ) => Effect.Effect<boolean, StorageError, UnitOfWork>
    /** Keeps a result that came too late, beside the outcome. */
    readonly keepEvidence: (
      key: ServiceCallKey,
      number: number,
      result: AttemptOutcome
    ) => Effect.Effect<void, StorageError, UnitOfWork>
    readonly find: (key: ServiceCallKey) => Effect.Effect<Option.Option<RecordedAttempt>, StorageError, UnitOfWork>
    /**
     * Open attempts of all tenants that have reached their deadline or that another process claimed, the oldest deadline
     * first.
     */
    readonly overdueOfAllTenants: (
      now: DateTime.Utc,
      processId: string,
      limit: number
    ) => Effect.Effect<ReadonlyArray<OpenAttempt>, StorageError, UnitOfWork>
  }
>()("@event-service-agent/execution/AttemptStore") {
  static readonly layerMemory = Layer.sync(AttemptStore, () => makeMemory())
}

const makeMemory = (): AttemptStore["Service"] => {
  const rows = new Map<string, RecordedAttempt>()
  const idOf = (key: ServiceCallKey) => `${key.tenantId}/${key.serviceCallId}`
  const find = (key: ServiceCallKey, number: number) => {
    const row = rows.get(idOf(key))
    return row?.attempt.number === number ? row : undefined
  }

  /** Writes a row so that a rollback takes it back. */
  const put = (row: RecordedAttempt) =>
    Effect.map(UnitOfWork, (unit) => {
      const id = idOf(row.attempt.key)
      const before = rows.get(id)
      unit.onRollback(() => (before === undefined ? rows.delete(id) : rows.set(id, before)))
      rows.set(id, row)
    })

  return {
    claim: Effect.fnUntraced(function* (attempt) {
      if (rows.has(idOf(attempt.key))) return false
      yield* put({ attempt, outcome: null, evidence: null })
      return true
    }),
    close: Effect.fnUntraced(function* (key, number, outcome) {
      const row = find(key, number)
      if (row === undefined || row.outcome !== null) return false
      yield* put({ ...row, outcome })
      return true
    }),
    keepEvidence: Effect.fnUntraced(function* (key, number, evidence) {
      const row = find(key, number)
      if (row !== undefined) yield* put({ ...row, evidence })
    }),
    find: (key) => Effect.sync(() => Option.fromUndefinedOr(rows.get(idOf(key)))),
    overdueOfAllTenants: (now, processId, limit) =>
      Effect.sync(() =>
        [...rows.values()]
          .filter((row) => row.outcome === null)
          .map((row) => row.attempt)
          .filter((attempt) => toMillis(attempt.deadlineAt) <= toMillis(now) || attempt.processId !== processId)
          .sort((a, b) => toMillis(a.deadlineAt) - toMillis(b.deadlineAt))
          .slice(0, limit)
      )
  }
}
