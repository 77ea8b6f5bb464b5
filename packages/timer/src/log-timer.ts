import { Effect } from "effect"
import type { Timer } from "./ports/timer-store.ts"

/** A debug line about the timer of one call. */
export const logTimer = (
  text: string,
  { key, correlationId }: Pick<Timer, "key" | "correlationId">
): Effect.Effect<void> => Effect.annotateLogs(Effect.logDebug(text), { ...key, correlationId })
