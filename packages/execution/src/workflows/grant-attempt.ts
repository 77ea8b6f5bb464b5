import { consumerSpan } from "@event-service-agent/platform/event-bus"
import { currentTraceparent, spanInUnit } from "@event-service-agent/platform/tracing"
import type { ServiceCallKey } from "@event-service-agent/schemas/ids"
import type { Message } from "@event-service-agent/schemas/messages/catalogue"
import { Clock, DateTime, Effect } from "effect"
import { leaseMs, openAttempt } from "../domain/attempt.ts"
import { grantOf } from "../domain/remote.ts"
import { AttemptStore } from "../ports/attempt-store.ts"
import { claimAttempt } from "./claim-attempt.ts"
import { beginPerforming, elapsedMs, type Performing } from "./performing.ts"

/** Claims the call's attempt for an executor. Asked again, it is the same grant; `undefined` for anybody else. */
export const grantAttempt = Effect.fnUntraced(
  function* (start: Message<"StartExecution">, executorId: string, performing: Performing) {
    const opened = openAttempt(start, executorId, yield* DateTime.now, yield* currentTraceparent)
    const attempt = { ...opened, isRemote: true }
    const isFirst = yield* claimAttempt(attempt, (claimedAtNanos) =>
      Effect.sync(() => beginPerforming(performing, attempt, claimedAtNanos))
    )
    return isFirst ? grantOf(attempt, 0) : yield* grantAgain(attempt.key, executorId, performing)
  },
  (granted, start) => spanInUnit(granted, "execution StartExecution", consumerSpan(start))
)

/** The grant of the call's open attempt, with what is left of its lease, if this executor has it. */
export const grantAgain = Effect.fnUntraced(function* (
  key: ServiceCallKey,
  executorId: string,
  performing: Performing
) {
  const store = yield* AttemptStore
  const open = (yield* store.attemptsOf(key)).find(
    ({ attempt, outcome }) => outcome === null && attempt.isRemote && attempt.processId === executorId
  )?.attempt
  if (open === undefined) return undefined
  const elapsed = elapsedMs(performing, open, yield* DateTime.now, yield* Clock.monotonicTimeNanos)
  return elapsed < leaseMs(open) ? grantOf(open, elapsed) : undefined
})
