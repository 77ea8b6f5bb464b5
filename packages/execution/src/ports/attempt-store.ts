import type { StorageError } from "@event-service-agent/platform/storage-error"
import { UnitOfWork } from "@event-service-agent/platform/transaction"
import { callName, type ServiceCallKey } from "@event-service-agent/schemas/ids"
import { toMillis } from "@event-service-agent/schemas/time"
import { Context, type DateTime, Effect, Layer } from "effect"
import type { AttemptOutcome, Lease, OpenAttempt } from "../domain/attempt.ts"

/** An attempt with what is known of its end. */
export interface RecordedAttempt {
  readonly attempt: OpenAttempt
  /** `null` while it is open. */
  readonly outcome: AttemptOutcome | null
  /** A result that came after the outcome was recorded. It changes nothing, but people can look at it. */
  readonly evidence: AttemptOutcome | null
}

/** The attempts of calls and their outcomes. An attempt has at most one outcome. */
export class AttemptStore extends Context.Service<
  AttemptStore,
  {
    /** Keeps the attempt. False when the call has one of this number: a repeated message. */
    readonly claim: (attempt: OpenAttempt) => Effect.Effect<boolean, StorageError, UnitOfWork>
    /** Records how an open attempt ended and erases its sealed request. False when there is none, or it has ended. */
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
    /** All attempts of a call, the first one first. */
    readonly attemptsOf: (
      key: ServiceCallKey
    ) => Effect.Effect<ReadonlyArray<RecordedAttempt>, StorageError, UnitOfWork>
    /**
     * Open attempts of all tenants that have reached their deadline, or that another process claimed and no executor
     * performs, the oldest deadline first.
     */
    readonly overdueOfAllTenants: (
      now: DateTime.Utc,
      processId: string,
      limit: number
    ) => Effect.Effect<ReadonlyArray<OpenAttempt>, StorageError, UnitOfWork>
    /** Open attempts of all tenants that executors perform. There are at most as many as calls may be in flight. */
    readonly remoteOfAllTenants: Effect.Effect<ReadonlyArray<Lease>, StorageError, UnitOfWork>
  }
>()("@event-service-agent/execution/AttemptStore") {
  static readonly layerMemory = Layer.sync(AttemptStore, () => makeMemory())
}

const makeMemory = (): AttemptStore["Service"] => {
  const rows = new Map<string, RecordedAttempt>()
  const idOf = (key: ServiceCallKey, number: number) => `${callName(key)}/${number}`

  const open = () => [...rows.values()].filter((row) => row.outcome === null).map((row) => row.attempt)

  /** Writes a row so that a rollback takes it back. */
  const put = (row: RecordedAttempt) =>
    Effect.map(UnitOfWork, (unit) => {
      const id = idOf(row.attempt.key, row.attempt.number)
      const before = rows.get(id)
      unit.onRollback(() => (before === undefined ? rows.delete(id) : rows.set(id, before)))
      rows.set(id, row)
    })

  return {
    claim: Effect.fnUntraced(function* (attempt) {
      if (rows.has(idOf(attempt.key, attempt.number))) return false
      yield* put({ attempt, outcome: null, evidence: null })
      return true
    }),
    close: Effect.fnUntraced(function* (key, number, outcome) {
      const row = rows.get(idOf(key, number))
      if (row === undefined || row.outcome !== null) return false
      yield* put({ ...row, attempt: { ...row.attempt, sealedForResend: null }, outcome })
      return true
    }),
    keepEvidence: Effect.fnUntraced(function* (key, number, evidence) {
      const row = rows.get(idOf(key, number))
      if (row !== undefined) yield* put({ ...row, evidence })
    }),
    attemptsOf: (key) =>
      Effect.sync(() =>
        [...rows.values()]
          .filter(({ attempt }) => idOf(attempt.key, 0) === idOf(key, 0))
          .sort((a, b) => a.attempt.number - b.attempt.number)
      ),
    overdueOfAllTenants: (now, processId, limit) =>
      Effect.sync(() =>
        open()
          .filter(
            ({ deadlineAt, isRemote, ...attempt }) =>
              toMillis(deadlineAt) <= toMillis(now) || (!isRemote && attempt.processId !== processId)
          )
          .sort((a, b) => toMillis(a.deadlineAt) - toMillis(b.deadlineAt))
          .slice(0, limit)
      ),
    remoteOfAllTenants: Effect.sync(() => open().filter(({ isRemote }) => isRemote))
  }
}
