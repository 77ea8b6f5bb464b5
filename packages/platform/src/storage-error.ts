import { Cause, Clock, Context, Effect, Schema } from "effect"

/** Between two tries while the storage refuses to work. */
export const STORAGE_RETRY_MS = 250

/** Between two lines of a kind about a refusal. */
export const REFUSAL_LOG_MS = 10_000

/** The operation that makes commits durable. */
export const SYNC = "sync"

/** The storage could not do what was asked. Nothing of the unit was kept, unless `isUnsynced`; trying again later is right. */
export class StorageError extends Schema.TaggedError<StorageError>()("StorageError", {
  operation: Schema.String,
  cause: Schema.Defect()
}) {
  override get message(): string {
    const { cause } = this
    return `${this.operation}: ${cause instanceof Error ? cause.message : String(cause)}`
  }
  /** Whether there is no room left. */
  get isFull(): boolean {
    return this.message.includes("disk is full")
  }
  /** Whether what is stored cannot be trusted any more. */
  get isDamaged(): boolean {
    return this.message.includes("disk image is malformed")
  }
  /** Whether nobody knows what is on the disk: it did not take what was written. */
  get isUnsynced(): boolean {
    return this.operation === SYNC
  }
  /** Whether nothing may be written until somebody has looked and started the program again. */
  get isFinal(): boolean {
    return this.isDamaged || this.isUnsynced
  }
}

/** For each kind of line the one that was written last, on the monotonic clock, and how many were not since. */
const RefusalLines = Context.Reference("@event-service-agent/platform/RefusalLines", {
  defaultValue: () => new Map<string, { readonly nanos: bigint; readonly leftOut: number }>()
})

/**
 * Logs that the storage refused, once in `REFUSAL_LOG_MS` for each kind: on a full disk everybody meets it, again and
 * again, and the log may be on that disk.
 *
 * @param what stands for the kind
 */
export const logRefusal = Effect.fnUntraced(function* (what: string, error: StorageError) {
  const lines = yield* RefusalLines
  const nanos = yield* Clock.monotonicTimeNanos
  const last = lines.get(what)
  if (last !== undefined && nanos >= last.nanos && nanos - last.nanos < BigInt(REFUSAL_LOG_MS) * 1_000_000n) {
    lines.set(what, { ...last, leftOut: last.leftOut + 1 })
    return yield* Effect.logDebug(`the storage refused: ${what}`, error.message)
  }
  lines.set(what, { nanos, leftOut: 0 })
  const earlier =
    last === undefined || last.leftOut === 0 ? "" : `, ${last.leftOut} times more since the last such line`
  yield* Effect.logWarning(`the storage refused: ${what}${earlier}`, error.message)
})

/** Logs the failure of what will be tried again by itself. */
export const logRetry = (what: string, cause: Cause.Cause<unknown>): Effect.Effect<void> => {
  const failure = Cause.squash(cause)
  return failure instanceof StorageError ? logRefusal(what, failure) : Effect.logError(what, cause)
}

/** Tries again for as long as the storage refuses, where nothing can go on without it. */
export const retryStorage = <A, R>(self: Effect.Effect<A, StorageError, R>): Effect.Effect<A, never, R> =>
  Effect.catch(self, (error) =>
    logRefusal("trying again", error).pipe(
      Effect.andThen(Effect.sleep(STORAGE_RETRY_MS)),
      Effect.andThen(Effect.suspend(() => retryStorage(self)))
    )
  )
