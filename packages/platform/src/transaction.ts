import { Cause, Clock, Context, Effect, Exit, Latch, Layer, Metric, Option, References } from "effect"
import { StorageError, SYNC } from "./storage-error.ts"

/** Units that one commit may hold: bounds how long a unit waits for its neighbours. */
export const COMMIT_BATCH_MAX = 512

/** For so long a refused commit counts, unless one that writes succeeds before. */
export const REFUSAL_MS = 10_000

const commitUnits = Metric.histogram("esa_commit_units", {
  description: "Units of work that shared a commit, and with it one sync of the disk",
  // To `COMMIT_BATCH_MAX`; the last one that is counted here is Infinity.
  boundaries: Metric.exponentialBoundaries({ start: 1, factor: 2, count: 11 })
})
const commitSeconds = Metric.histogram("esa_commit_duration_seconds", {
  description: "From the begin of a commit until it is on the disk",
  boundaries: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5]
})

/** The unit that is being written. Whatever needs it can only run inside `Transaction.run`. */
export class UnitOfWork extends Context.Service<
  UnitOfWork,
  {
    /** Runs once the unit is durable, in the order of registration. Must not wait; dropped on rollback. */
    readonly afterCommit: (hook: Effect.Effect<void>) => void
    /** Takes back a change made in memory, when the unit's writes are rolled back. */
    readonly onRollback: (undo: () => void) => void
    /**
     * Adds work that is done after the unit's own, in the same commit. When it fails, nothing of the unit is kept, and
     * the unit runs once more with `isRepeated`.
     */
    readonly takeOn: (work: Effect.Effect<void, unknown, UnitOfWork>) => void
    /** What was taken on has failed in an earlier run: now nothing should be that can be done later. */
    readonly isRepeated: boolean
  }
>()("@event-service-agent/platform/UnitOfWork") {}

/**
 * The one writer. All waiting units share one commit, so one fsync serves them all; an idle writer waits for nobody.
 */
export class Transaction extends Context.Service<
  Transaction,
  {
    /**
     * Runs a unit of storage-only work. When it returns, the unit is durable; when it fails, nothing of it was kept
     * and its neighbours in the commit are unharmed. The unit must not wait for anything: that is a defect. It may
     * run twice before it is committed, so it changes memory only together with `onRollback`.
     */
    readonly run: <A, E, R>(unit: Effect.Effect<A, E, R>) => Effect.Effect<A, E | StorageError, Exclude<R, UnitOfWork>>
    /** Why the storage refuses to write at the moment, if it does. */
    readonly refusal: Effect.Effect<Option.Option<StorageError>>
  }
>()("@event-service-agent/platform/Transaction") {
  /** For modules over in-memory stores, which take their changes back through `onRollback`. */
  static readonly layerMemory = Layer.effect(
    Transaction,
    Effect.suspend(() => makeTransaction(memoryJournal))
  )
}

/** What the writer needs of a database connection that is its alone. Each function may throw. */
export interface Journal {
  readonly begin: () => void
  /** Nobody is told of it before `sync`. */
  readonly commit: () => void
  /** Makes what was committed durable, while the thread goes on with other work; at once if it returns nothing. */
  readonly sync: () => Promise<void> | undefined
  readonly rollback: () => void
  readonly savepoint: () => void
  readonly releaseSavepoint: () => void
  readonly rollbackToSavepoint: () => void
  /** Grows with every write; tells whether a failed unit left anything behind. */
  readonly writes: () => number
  /** Whether the transaction is still open: a full disk ends it on its own. */
  readonly isActive: () => boolean
}

/** The group-commit writer over a journal. Its scope owns the writer fiber. */
export const makeTransaction = Effect.fnUntraced(function* (journal: Journal) {
  const waiting: Array<Unit> = []
  const hasWork = Latch.makeUnsafe()
  let refused: { readonly error: StorageError; readonly atNanos: bigint } | undefined
  /** Once met, nothing more is written: what would be accepted now is lost when a backup is restored. */
  let damage: StorageError | undefined

  const commitNext = Effect.gen(function* () {
    const batch = waiting.splice(0, COMMIT_BATCH_MAX).filter((unit) => !unit.isAbandoned)
    if (waiting.length === 0) hasWork.closeUnsafe()
    const writesBefore = journal.writes()
    const beganNanos = yield* Clock.monotonicTimeNanos
    const committed = damage === undefined ? commitAll(journal, batch) : failAll(batch, damage)
    const hasWritten = journal.writes() !== writesBefore
    const unsynced = hasWritten ? yield* syncError(journal) : undefined
    const failures = unsynced === undefined ? committed : failAll(batch, unsynced)
    const [failure] = failures.values()
    if (failure?.isFinal === true) damage = failure
    if (failure !== undefined) refused = { error: failure, atNanos: yield* Clock.monotonicTimeNanos }
    // A commit without writes succeeds on a full disk, too.
    else if (hasWritten) refused = undefined
    if (hasWritten) {
      yield* Metric.update(commitUnits, batch.length)
      yield* Metric.update(commitSeconds, Number((yield* Clock.monotonicTimeNanos) - beganNanos) / 1e9)
    }
    // The storage ended the transaction before it was their turn: after the sync they make the next commit.
    const passedOver = batch.filter((unit) => !unit.hasRun && !failures.has(unit))
    if (passedOver.length > 0) {
      waiting.unshift(...passedOver)
      hasWork.openUnsafe()
    }
    for (const unit of batch) {
      const itsFailure = failures.get(unit)
      if (!unit.hasRun && itsFailure === undefined) continue
      if (itsFailure === undefined) for (const hook of unit.hooks) yield* logDefect(hook)
      unit.answer(itsFailure === undefined ? undefined : Exit.fail(itsFailure))
    }
  })
  const writeNext = hasWork.await.pipe(
    // Lets every fiber that is ready now add its unit to this commit.
    Effect.andThen(Effect.yieldNow),
    Effect.andThen(Effect.uninterruptible(commitNext))
  )
  yield* Effect.forkScoped(Effect.forever(writeNext))

  return Transaction.of({
    run: <A, E, R>(work: Effect.Effect<A, E, R>) =>
      Effect.contextWith((context: Context.Context<Exclude<R, UnitOfWork>>) =>
        Effect.callback<A, E | StorageError>((resume) => {
          let exit: Exit.Exit<A, E | StorageError> | undefined
          // However many steps it has, it does not let others run in between.
          const runWork = Effect.runSyncExitWith(Context.add(context, References.PreventSchedulerYield, true))
          const unit = new Unit(
            (uow, takenOn) => {
              const whole = Effect.tap(work, () => takenOn)
              exit = runWork(Effect.provideService(whole, UnitOfWork, uow))
              if (Exit.isFailure(exit)) {
                stopIfWaiting(exit.cause)
                const error = Cause.squash(exit.cause)
                if (error instanceof StorageError && error.isFinal) damage = error
              }
              return Exit.isSuccess(exit)
            },
            (failure) => resume(failure ?? exit ?? Effect.interrupt)
          )
          waiting.push(unit)
          hasWork.openUnsafe()
          return Effect.sync(() => {
            unit.isAbandoned = true
          })
        })
      ),
    refusal: Effect.map(Clock.monotonicTimeNanos, (nowNanos) => {
      const isRecent = refused !== undefined && nowNanos - refused.atNanos < BigInt(REFUSAL_MS) * 1_000_000n
      return Option.fromNullishOr(damage ?? (isRecent ? refused?.error : undefined))
    })
  })
})

/** A unit that waits must not go on later, outside of any transaction. */
const stopIfWaiting = (cause: Cause.Cause<unknown>): void => {
  const failure = Cause.squash(cause)
  if (Cause.isAsyncFiberError(failure)) failure.fiber.interruptUnsafe()
}

type UnitEnd = "done" | "failed" | "to be repeated"

/** One unit on its way through the writer, with what it registered in its latest run. */
class Unit {
  hooks: Array<Effect.Effect<void>> = []
  undos: Array<() => void> = []
  /** Its caller was interrupted before the unit ran. */
  isAbandoned = false
  hasRun = false
  /** In its latest run. */
  hasOnlyRead = true
  /** What it had taken on has failed. */
  isRepeated = false
  readonly work: (uow: UnitOfWork["Service"], takenOn: Effect.Effect<void, StorageError, UnitOfWork>) => boolean
  readonly answer: (failure: Exit.Exit<never, StorageError> | undefined) => void

  constructor(work: Unit["work"], answer: Unit["answer"]) {
    this.work = work
    this.answer = answer
  }

  /** Throws when the storage ended the transaction under it. */
  run(journal: Journal): UnitEnd {
    this.hasRun = true
    const before = journal.writes()
    const wasRepeated = this.isRepeated
    const takenOn: Array<Effect.Effect<void, unknown, UnitOfWork>> = []
    let isOwnDone = false
    const succeeded = this.work(
      {
        afterCommit: (hook) => this.hooks.push(hook),
        onRollback: (undo) => this.undos.push(undo),
        takeOn: (work) => takenOn.push(work),
        isRepeated: wasRepeated
      },
      Effect.suspend(() => {
        isOwnDone = true
        return takenOn.length === 0 ? Effect.void : doAll(takenOn)
      })
    )
    if (!succeeded) {
      this.hooks = []
      // Also when it waits: then nothing of it can tell.
      this.isRepeated ||= isOwnDone
    }
    this.hasOnlyRead = journal.writes() === before && this.undos.length === 0
    if (!journal.isActive()) throw new Error("the storage ended the transaction, as it does when the disk is full")
    if (succeeded) return "done"
    return this.isRepeated && !wasRepeated ? "to be repeated" : "failed"
  }

  undo(): void {
    for (const undo of this.undos.reverse()) undo()
    this.undos = []
    this.hooks = []
  }
}

/** What is taken on may take on more. Only the storage's failures are the unit's own, when it is repeated. */
const doAll = (takenOn: Array<Effect.Effect<void, unknown, UnitOfWork>>) => {
  const next = Effect.suspend((): Effect.Effect<void, unknown, UnitOfWork> => {
    const work = takenOn.shift()
    return work === undefined ? Effect.void : Effect.andThen(work, next)
  })
  return Effect.catchCause(next, (cause) => {
    const failure = Cause.squash(cause)
    return failure instanceof StorageError ? Effect.fail(failure) : Effect.die(failure)
  })
}

/** Why nobody knows whether what was committed is on the disk, if so. */
const syncError = (journal: Journal): Effect.Effect<StorageError | undefined> =>
  Effect.suspend(() => {
    const synced = journal.sync()
    if (synced === undefined) return Effect.undefined
    return Effect.promise(() =>
      synced.then(
        () => undefined,
        (cause) => new StorageError({ operation: SYNC, cause })
      )
    )
  })

const failAll = (batch: ReadonlyArray<Unit>, error: StorageError): ReadonlyMap<Unit, StorageError> =>
  new Map(batch.map((unit) => [unit, error]))

/** Commits what it can. Returns why the rest was not kept; what has not even run is for the next turn. */
const commitAll = (journal: Journal, batch: ReadonlyArray<Unit>): ReadonlyMap<Unit, StorageError> => {
  const failures = new Map<Unit, StorageError>()
  const failure = batch.length === 0 ? undefined : commitBatch(journal, batch)
  if (failure === undefined) return failures
  // What only reads must not fail with its neighbours for as long as a full disk lets nobody write.
  const mayCommit = batch.some((unit) => !unit.hasOnlyRead) && !failure.isDamaged
  for (const unit of batch) {
    if (mayCommit && !unit.hasRun) continue
    const itsFailure = mayCommit && unit.hasOnlyRead ? commitBatch(journal, [unit]) : failure
    if (itsFailure !== undefined) failures.set(unit, itsFailure)
  }
  return failures
}

/** `undefined` when the batch is durable; every unit then has its own exit. Otherwise none of it was kept. */
const commitBatch = (journal: Journal, batch: ReadonlyArray<Unit>): StorageError | undefined => {
  try {
    journal.begin()
    const end = writeTogether(journal, batch)
    if (end !== "done") {
      journal.rollback()
      for (const unit of batch.toReversed()) unit.undo()
      if (end === "failed" && batch.length === 1) return undefined
      journal.begin()
      for (const unit of batch) writeApart(journal, unit)
    }
    journal.commit()
    return undefined
  } catch (cause) {
    if (journal.isActive()) ignoreThrow(journal.rollback)
    for (const unit of batch.toReversed()) unit.undo()
    return new StorageError({ operation: "commit", cause })
  }
}

/**
 * Without savepoints, which cost about 40 % of the throughput. When a unit failed after it changed something, or is to
 * be repeated, the batch has to be written again, apart.
 */
const writeTogether = (journal: Journal, batch: ReadonlyArray<Unit>): UnitEnd => {
  for (const unit of batch) {
    const end = unit.run(journal)
    if (end === "to be repeated" || (end === "failed" && !unit.hasOnlyRead)) return end
  }
  return "done"
}

const writeApart = (journal: Journal, unit: Unit): void => {
  journal.savepoint()
  for (let end = unit.run(journal); end !== "done"; end = unit.run(journal)) {
    journal.rollbackToSavepoint()
    unit.undo()
    if (end === "failed") break
  }
  journal.releaseSavepoint()
}

const ignoreThrow = (f: () => void): void => {
  try {
    f()
  } catch {
    // The failure that led here is the one to report.
  }
}

const logDefect = (hook: Effect.Effect<void>) =>
  Effect.catchCause(hook, (cause) => Effect.logError("a hook after commit failed", cause))

/** For stores that take their changes back by themselves. */
export const memoryJournal: Journal = {
  begin: () => {},
  commit: () => {},
  sync: () => undefined,
  rollback: () => {},
  savepoint: () => {},
  releaseSavepoint: () => {},
  rollbackToSavepoint: () => {},
  writes: () => 0,
  isActive: () => true
}
