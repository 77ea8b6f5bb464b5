import { EventBusPort } from "@event-service-agent/platform/event-bus"
import type { StorageError } from "@event-service-agent/platform/storage-error"
import { Transaction, type UnitOfWork } from "@event-service-agent/platform/transaction"
import type { ServiceCallKey } from "@event-service-agent/schemas/ids"
import type { Message } from "@event-service-agent/schemas/messages/catalogue"
import { Context, Effect } from "effect"
import type { AttemptOutcome } from "./domain/attempt.ts"
import type { Grant } from "./domain/remote.ts"
import { AttemptStore } from "./ports/attempt-store.ts"
import { grantAgain, grantAttempt } from "./workflows/grant-attempt.ts"
import type { Performing } from "./workflows/performing.ts"
import { reportOutcome } from "./workflows/report-outcome.ts"

/**
 * Where executors get their attempts from and report to. An attempt is granted to one executor, which sends within its
 * lease or not at all; when the lease ends without a report, the outcome is unknown.
 */
export class AttemptDesk extends Context.Service<
  AttemptDesk,
  {
    /**
     * Claims the call's first attempt for the executor, in the unit that settles the message. The same executor gets the
     * same grant again while the attempt is open, since its answer may have been lost. `undefined` for anybody else, and
     * after the end. Answer only once the unit is durable.
     */
    readonly claim: (
      start: Message<"StartExecution">,
      executorId: string
    ) => Effect.Effect<Grant | undefined, StorageError, UnitOfWork>
    /** The grant of the executor's open attempt, for a message that was settled before; `undefined` if it has none. */
    readonly regrant: (
      key: ServiceCallKey,
      executorId: string
    ) => Effect.Effect<Grant | undefined, StorageError, UnitOfWork>
    /**
     * Ends the attempt, or keeps what comes too late as evidence; durable when it returns. The same report again changes
     * nothing more. False when the executor has no such attempt.
     */
    readonly report: (
      key: ServiceCallKey,
      attempt: number,
      executorId: string,
      outcome: AttemptOutcome,
      traceparent?: string
    ) => Effect.Effect<boolean, StorageError>
  }
>()("@event-service-agent/execution/AttemptDesk") {}

/** @param performing the open attempts that the sweep knows of */
export const makeDesk = Effect.fnUntraced(function* (performing: Performing) {
  const all = yield* Effect.context<AttemptStore | EventBusPort | Transaction>()
  // Nothing else: what a unit of the caller has beside them is the caller's.
  const context = Context.pick(AttemptStore, EventBusPort, Transaction)(all)
  return AttemptDesk.of({
    claim: (start, executorId) => Effect.provideContext(grantAttempt(start, executorId, performing), context),
    regrant: (key, executorId) => Effect.provideContext(grantAgain(key, executorId, performing), context),
    report: (key, attempt, executorId, outcome, traceparent) =>
      Effect.provideContext(reportOutcome(key, attempt, executorId, outcome, performing, traceparent), context)
  })
})
