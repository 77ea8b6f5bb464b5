import { Cause, Context, Effect, Exit, Latch, Layer, Schema } from "effect"

/** Units that one commit may hold: bounds how long a unit waits for its neighbours. */
export const COMMIT_BATCH_MAX = 512

/** Between two tries while the storage refuses to work. */
export const STORAGE_RETRY_MS = 250

/** The storage could not do what was asked. Nothing of the unit was kept; trying again later is right. */
export class StorageError extends Schema.TaggedError<StorageError>()("StorageError", {
  operation: Schema.String,
  cause: Schema.Defect()
}) {
  override get message(): string {
    const { cause } = this
    return `${this.operation}: ${cause instanceof Error ? cause.message : String(cause)}`
  }
}

/** The unit that is being written. Whatever needs it can only run inside `Transaction.run`. */
export class UnitOfWork extends Context.Service<
  UnitOfWork,
  {
    /** Runs once the unit is durable, in the order of registration. Must not wait; dropped on rollback. */
    readonly afterCommit: (hook: Effect.Effect<void>) => void
    /** Takes back a change made in memory, when the unit's writes are rolled back. */
    readonly onRollback: (undo: () => void) => void
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
  }
>()("@event-service-agent/platform/Transaction") {
  /** For modules over in-memory stores, which take their changes back through `onRollback`. */
  static readonly layerMemory = Layer.effect(
    Transaction,
    Effect.suspend(() => makeTransaction(memoryJournal))
  )
}

/** Tries again for as long as the storage refuses, where nothing can go on without it. */
export const retryStorage = <A, R>(self: Effect.Effect<A, StorageError, R>): Effect.Effect<A, never, R> =>
  Effect.catch(self, (error) =>
    Effect.logWarning("the storage refused, trying again", error.message).pipe(
      Effect.andThen(Effect.sleep(STORAGE_RETRY_MS)),
      Effect.andThen(Effect.suspend(() => retryStorage(self)))
    )
  )

/** What the writer needs of a database connection that is its alone. Each function may throw. */
export interface Journal {
  readonly begin: () => void
  readonly commit: () => void
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

  const writeNext = Effect.gen(function* () {
    yield* hasWork.await
    // Lets every fiber that is ready now add its unit to this commit.
    yield* Effect.yieldNow
    const batch = waiting.splice(0, COMMIT_BATCH_MAX).filter((unit) => !unit.isAbandoned)
    if (waiting.length === 0) hasWork.closeUnsafe()
    const failure = batch.length === 0 ? undefined : commitBatch(journal, batch)
    for (const unit of batch) {
      if (failure === undefined) for (const hook of unit.hooks) yield* logDefect(hook)
      unit.answer(failure)
    }
  })
  yield* Effect.forkScoped(Effect.forever(writeNext))

  return Transaction.of({
    run: <A, E, R>(work: Effect.Effect<A, E, R>) =>
      Effect.contextWith((context: Context.Context<Exclude<R, UnitOfWork>>) =>
        Effect.callback<A, E | StorageError>((resume) => {
          let exit: Exit.Exit<A, E> | undefined
          const runWork = Effect.runSyncExitWith(context)
          const unit = new Unit(
            (uow) => {
              exit = runWork(Effect.provideService(work, UnitOfWork, uow))
              if (Exit.isFailure(exit)) stopIfWaiting(exit.cause)
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
      )
  })
})

/** A unit that waits must not go on later, outside of any transaction. */
const stopIfWaiting = (cause: Cause.Cause<unknown>): void => {
  const failure = Cause.squash(cause)
  if (Cause.isAsyncFiberError(failure)) failure.fiber.interruptUnsafe()
}

/** One unit on its way through the writer, with what it registered in its latest run. */
class Unit {
  hooks: Array<Effect.Effect<void>> = []
  undos: Array<() => void> = []
  /** Its caller was interrupted before the unit ran. */
  isAbandoned = false
  readonly work: (uow: UnitOfWork["Service"]) => boolean
  readonly answer: (failure: Exit.Exit<never, StorageError> | undefined) => void

  constructor(work: Unit["work"], answer: Unit["answer"]) {
    this.work = work
    this.answer = answer
  }

  /** Whether the unit succeeded. Throws when the storage ended the transaction under it. */
  run(journal: Journal): boolean {
    const succeeded = this.work({
      afterCommit: (hook) => this.hooks.push(hook),
      onRollback: (undo) => this.undos.push(undo)
    })
    if (!succeeded) this.hooks = []
    if (!journal.isActive()) throw new Error("the storage ended the transaction, as it does when the disk is full")
    return succeeded
  }

  undo(): void {
    for (const undo of this.undos.reverse()) undo()
    this.undos = []
    this.hooks = []
  }
}

/** `undefined` when the batch is durable; every unit then has its own exit. Otherwise none of it was kept. */
const commitBatch = (journal: Journal, batch: ReadonlyArray<Unit>): Exit.Exit<never, StorageError> | undefined => {
  try {
    journal.begin()
    if (!writeTogether(journal, batch)) {
      journal.rollback()
      for (const unit of batch.toReversed()) unit.undo()
      if (batch.length === 1) return undefined
      journal.begin()
      writeApart(journal, batch)
    }
    journal.commit()
    return undefined
  } catch (cause) {
    if (journal.isActive()) ignoreThrow(journal.rollback)
    for (const unit of batch.toReversed()) unit.undo()
    return Exit.fail(new StorageError({ operation: "commit", cause }))
  }
}

/**
 * Without savepoints, which cost about 40 % of the throughput. False when a unit failed after it changed something:
 * then the batch has to be written again, apart.
 */
const writeTogether = (journal: Journal, batch: ReadonlyArray<Unit>): boolean =>
  batch.every((unit) => {
    const before = journal.writes()
    return unit.run(journal) || (journal.writes() === before && unit.undos.length === 0)
  })

const writeApart = (journal: Journal, batch: ReadonlyArray<Unit>): void => {
  for (const unit of batch) {
    journal.savepoint()
    if (!unit.run(journal)) {
      journal.rollbackToSavepoint()
      unit.undo()
    }
    journal.releaseSavepoint()
  }
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
  rollback: () => {},
  savepoint: () => {},
  releaseSavepoint: () => {},
  rollbackToSavepoint: () => {},
  writes: () => 0,
  isActive: () => true
}
