import { logRefusal, StorageError } from "@event-service-agent/platform/storage-error"
import { Effect } from "effect"
import { StorageUnavailable } from "./problem.ts"

/** What is wrong with the storage, for clients: the log has more. */
export const troubleOf = (error: StorageError): string => {
  if (error.isFull) return "The disk is full: nothing was stored. Try again once the operator has made room"
  if (error.isUnsynced) {
    return "The disk did not take what was written: the operator has to check it, and start the service again"
  }
  return error.isDamaged ? "The database is damaged: the operator has to restore a backup" : "Try again in a moment"
}

/** Answers that the storage does not work. All routes may be asked again. */
export const orUnavailable = <A, E, R>(self: Effect.Effect<A, E | StorageError, R>) =>
  Effect.catchIf(
    self,
    (error): error is StorageError => error instanceof StorageError,
    (error) =>
      logRefusal("a request gets a 503", error).pipe(
        Effect.andThen(new StorageUnavailable({ detail: troubleOf(error) }))
      )
  )
