import { AttemptDesk } from "@event-service-agent/execution/attempt-desk"
import {
  ClaimAttempt,
  ClaimReply,
  type Grant,
  ReportOutcome,
  ReportReply
} from "@event-service-agent/execution/domain/remote"
import { makeFailedDeliveries } from "@event-service-agent/platform/failed-delivery"
import { type Delivery, Outbox } from "@event-service-agent/platform/outbox"
import { logRefusal, StorageError } from "@event-service-agent/platform/storage-error"
import { Transaction } from "@event-service-agent/platform/transaction"
import { deskSubjects } from "@event-service-agent/schemas/nats"
import type { Msg, NatsConnection } from "@nats-io/transport-node"
import { Cause, Effect, Exit, FiberSet, Layer, Schema } from "effect"
import { Broker } from "./broker.ts"
import { RelayStore } from "./relay-store.ts"

/**
 * Answers executors elsewhere from the process that has the database: who gets an attempt, once that is durable, and
 * that an outcome is. A question without an answer is asked again.
 */
export const layer = (executesHere: boolean) =>
  Layer.effectDiscard(
    Effect.gen(function* () {
      const failed = yield* makeFailedDeliveries("execution")
      const desk = yield* AttemptDesk
      const broker = yield* Broker
      const store = yield* RelayStore
      const outbox = yield* Outbox
      const transaction = yield* Transaction

      const claimIn = Effect.fnUntraced(function* (
        { tenantId, serviceCallId, seq, executorId, isSealedOmitted = false }: ClaimAttempt,
        note: (delivery: Delivery) => void
      ) {
        const key = { tenantId, serviceCallId }
        const oldest = yield* store.oldest("execution", key)
        if (oldest._tag === "Unreadable") return REFUSED
        if (oldest._tag === "Delivery" && oldest.delivery.seq < seq) return LATER
        if (oldest._tag === "Nothing" || oldest.delivery.seq > seq) return granted(yield* desk.regrant(key, executorId))
        const { message } = oldest.delivery
        if (message.type !== "StartExecution") return REFUSED
        // Here is the whole request.
        if (isSealedOmitted && executesHere) return LATER
        note(oldest.delivery)
        yield* outbox.settle("execution", seq)
        return granted(yield* desk.claim(message, executorId))
      })
      /** What fails as a message's handler fails, counts as that: ten times, and it is a dead letter. */
      const claim = Effect.fnUntraced(function* (question: ClaimAttempt) {
        let current: Delivery | undefined
        const unit = claimIn(question, (delivery) => {
          current = delivery
        })
        const exit = yield* Effect.exit(transaction.run(unit))
        if (Exit.isSuccess(exit)) return exit.value
        if (current === undefined) return yield* exit
        return (yield* failed.judge(current, exit.cause))._tag === "Later" ? LATER : REFUSED
      })
      const report = ({ tenantId, serviceCallId, attempt, executorId, outcome, traceparent }: ReportOutcome) =>
        Effect.map(
          desk.report({ tenantId, serviceCallId }, attempt, executorId, outcome, traceparent),
          (isTheirs): ReportReply => (isTheirs ? { _tag: "Confirmed" } : REFUSED)
        )

      const begin = yield* FiberSet.makeRuntime<never>()
      const { connection } = yield* broker.ready
      const subjects = deskSubjects(broker.prefix)
      yield* serve(connection, subjects.claim, begin, {
        question: ClaimAttempt,
        reply: ClaimReply,
        answer: claim,
        later: LATER
      })
      yield* serve(connection, subjects.report, begin, {
        question: ReportOutcome,
        reply: ReportReply,
        answer: report,
        later: LATER
      })
      // The broker may not be there yet; the service starts without it.
    }).pipe(Effect.forkScoped)
  )

const REFUSED = { _tag: "Refused" } as const
const LATER = { _tag: "Later" } as const
const granted = (grant: Grant | undefined): ClaimReply => (grant === undefined ? REFUSED : { _tag: "Granted", grant })

interface Dialogue<Question, Reply> {
  readonly question: Schema.Codec<Question, unknown>
  readonly reply: Schema.Codec<Reply, unknown>
  readonly answer: (question: Question) => Effect.Effect<Reply, StorageError>
  /** Whatever goes wrong: the question may be asked again. */
  readonly later: Reply
}

const serve = <Question, Reply>(
  connection: NatsConnection,
  subject: string,
  begin: (effect: Effect.Effect<void>) => void,
  { question, reply, answer, later }: Dialogue<Question, Reply>
) => {
  const decode = Schema.decodeUnknownEffect(Schema.fromJsonString(question))
  const encode = Schema.encodeSync(Schema.fromJsonString(reply))
  const respond = (message: Msg) =>
    decode(message.string()).pipe(
      Effect.flatMap(answer),
      Effect.catchCause((cause) => {
        const failure = Cause.squash(cause)
        const logged =
          failure instanceof StorageError
            ? logRefusal("an executor has to ask again", failure)
            : Effect.logError("a question of an executor failed", cause)
        return Effect.as(logged, later)
      }),
      Effect.andThen((value) => Effect.sync(() => message.respond(encode(value)))),
      Effect.asVoid
    )
  return Effect.acquireRelease(
    Effect.sync(() =>
      connection.subscribe(subject, {
        callback: (error, message) => {
          if (error === null) begin(respond(message))
        }
      })
    ),
    (subscription) => Effect.sync(() => subscription.unsubscribe())
  )
}
