import { Effect, FiberSet } from "effect"

/**
 * Waits for the sends that run.
 *
 * @param graceMs milliseconds that this takes at most
 * @param lost what becomes of those that take longer, as a sentence
 * @param begun is over when all have begun that are to
 */
export const drain = (
  sends: FiberSet.FiberSet<void>,
  graceMs: number,
  lost: string,
  begun: Effect.Effect<void> = Effect.void
): Effect.Effect<void> =>
  begun.pipe(
    Effect.andThen(logDrain(sends, graceMs)),
    Effect.andThen(FiberSet.awaitEmpty(sends)),
    Effect.timeoutOrElse({ duration: graceMs, orElse: () => logCutOff(sends, lost) })
  )

const logDrain = Effect.fnUntraced(function* (sends: FiberSet.FiberSet<void>, graceMs: number) {
  const count = yield* FiberSet.size(sends)
  if (count > 0) yield* Effect.logInfo(`waiting for requests under way: ${count}, at most ${graceMs / 1_000} s`)
})

const logCutOff = Effect.fnUntraced(function* (sends: FiberSet.FiberSet<void>, lost: string) {
  const count = yield* FiberSet.size(sends)
  yield* Effect.logWarning(`requests cut off, since they took too long: ${count}. ${lost}`)
})
