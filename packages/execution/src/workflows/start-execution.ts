import { currentTraceparent } from "@event-service-agent/platform/tracing"
import type { Message } from "@event-service-agent/schemas/messages/catalogue"
import { DateTime, Effect } from "effect"
import { openAttempt } from "../domain/attempt.ts"
import { claimAttempt } from "./claim-attempt.ts"
import type { ClaimedAttempt } from "./send-attempt.ts"

/** Starts the send of a claimed attempt and does not wait for it. */
export type Perform = (claimed: ClaimedAttempt) => Effect.Effect<void>

/** Claims the call's attempt. The send begins once the claim is durable; a repeated message finds the work done. */
export const startExecution = Effect.fnUntraced(function* (
  message: Message<"StartExecution">,
  processId: string,
  perform: Perform
) {
  const attempt = openAttempt(message, processId, yield* DateTime.now, yield* currentTraceparent)
  const { sealed } = message.payload
  yield* claimAttempt(attempt, (claimedAtNanos) => perform({ attempt, claimedAtNanos, sealed }))
})
