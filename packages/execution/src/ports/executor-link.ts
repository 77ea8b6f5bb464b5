import type { Message } from "@event-service-agent/schemas/messages/catalogue"
import { Context, Effect, Schema, type Scope } from "effect"
import type { ClaimAttempt, ClaimReply, ReportOutcome, ReportReply } from "../domain/remote.ts"

/** An order to perform a call, as it reached the executor. It may come again, and to other executors. */
export interface Start {
  readonly message: Message<"StartExecution">
  /** Its place in the agent's log. */
  readonly seq: number
  /** The sealed request was too large for the way here. */
  readonly isSealedOmitted: boolean
}

/** `done`: the start need not come again. `later`: nobody has taken it yet, as far as this executor knows. */
export type StartTaken = "done" | "later"

/** Nobody knows whether the agent got the question. Asking again is safe. */
export class LinkError extends Schema.TaggedError<LinkError>()("LinkError", {
  operation: Schema.String,
  cause: Schema.Defect()
}) {
  override get message(): string {
    const { cause } = this
    return `${this.operation}: ${cause instanceof Error ? cause.message : String(cause)}`
  }
}

/** For so long a question to the agent waits for its answer: a link may hang for as long as its broker is away. */
export const ANSWER_WAIT_MS = 4_000

/** What connects an executor with the agent that has the database. It holds no lease of its own: an answer may come late. */
export class ExecutorLink extends Context.Service<
  ExecutorLink,
  {
    /**
     * Hands over starts until the scope ends, at most as many at a time as there are places for: `places` waits until
     * there is one. The handler comes back once it knows what is to become of the message.
     */
    readonly subscribe: (
      handle: (start: Start) => Effect.Effect<StartTaken>,
      options: { readonly places: Effect.Effect<number> }
    ) => Effect.Effect<void, never, Scope.Scope>
    readonly claim: (request: ClaimAttempt) => Effect.Effect<ClaimReply, LinkError>
    readonly report: (request: ReportOutcome) => Effect.Effect<ReportReply, LinkError>
  }
>()("@event-service-agent/execution/ExecutorLink") {}

/** Takes a question that hangs for one that nobody answered. */
export const answeredInTime = <A>(question: Effect.Effect<A, LinkError>): Effect.Effect<A, LinkError> =>
  Effect.timeoutOrElse(question, {
    duration: ANSWER_WAIT_MS,
    orElse: () =>
      Effect.fail(new LinkError({ operation: "wait", cause: new Error(`no answer in ${ANSWER_WAIT_MS} ms`) }))
  })
