import { ClaimAttempt, ClaimReply, ReportOutcome, ReportReply } from "@event-service-agent/execution/domain/remote"
import {
  ExecutorLink,
  LinkError,
  type Start,
  type StartTaken
} from "@event-service-agent/execution/ports/executor-link"
import { catalogue } from "@event-service-agent/schemas/messages/catalogue"
import { deskSubjects, HEADERS, streamNames } from "@event-service-agent/schemas/nats"
import type { ConsumerMessages, JetStreamClient, JsMsg } from "@nats-io/jetstream"
import { Effect, FiberSet, Layer, Option, Schema } from "effect"
import { Broker } from "./broker.ts"

/** Starts that are taken from the broker at once: others may have places for the rest. */
const FETCH_MAX = 32
/** How long one question for starts waits for them, and how long a stop waits for its end. */
const FETCH_WAIT_MS = 1_000
const FETCH_AGAIN_MS = 500
/** How long a start that nobody could take stays away. */
const LATER_MS = 1_000
/** How long a question waits for its answer, before it is asked again. */
const ANSWER_WAIT_MS = 2_000

const decodeStart = Schema.decodeUnknownEffect(Schema.fromJsonString(catalogue.StartExecution.envelope))

/** Connects an executor over NATS with the process that has the database. */
export const layer = Layer.effect(
  ExecutorLink,
  Effect.gen(function* () {
    const broker = yield* Broker
    const subjects = deskSubjects(broker.prefix)

    const ask = <Question, Reply>(
      subject: string,
      question: Schema.Codec<Question, unknown>,
      reply: Schema.Codec<Reply, unknown>
    ) => {
      const encode = Schema.encodeSync(Schema.fromJsonString(question))
      const decode = Schema.decodeUnknownEffect(Schema.fromJsonString(reply))
      const failed = (cause: unknown) => new LinkError({ operation: subject, cause })
      return Effect.fnUntraced(function* (asked: Question) {
        const { connection } = yield* broker.ready
        const answer = yield* Effect.tryPromise({
          try: () => connection.request(subject, encode(asked), { timeout: ANSWER_WAIT_MS }),
          catch: failed
        })
        return yield* Effect.mapError(decode(answer.string()), failed)
      })
    }

    const toStart = (message: JsMsg) =>
      Effect.map(
        decodeStart(message.string()),
        (decoded): Start => ({
          message: { ...decoded, traceparent: message.headers?.get("traceparent") },
          seq: Number(message.headers?.get(HEADERS.seq)),
          isSealedOmitted: message.headers?.get(HEADERS.sealed) === "omitted"
        })
      )

    return ExecutorLink.of({
      subscribe: Effect.fnUntraced(function* (handle, { places }) {
        const handlers = yield* FiberSet.make<void>()
        const begin = yield* FiberSet.runtime(handlers)<never>()
        const inHand = new Set<JsMsg>()
        let messages: ConsumerMessages | undefined
        let fetching = Promise.resolve()
        let isStopping = false
        let told: string | undefined

        const take = (message: JsMsg) =>
          toStart(message).pipe(
            Effect.flatMap(handle),
            Effect.catch((error) =>
              Effect.as(Effect.logError("an order to perform a call cannot be read", error.message), UNTAKEN)
            ),
            Effect.andThen((taken) =>
              Effect.sync(() => {
                inHand.delete(message)
                if (taken === "done") message.ack()
                else message.nak(LATER_MS)
              })
            )
          )
        const tell = Effect.gen(function* () {
          const trouble = Option.getOrUndefined(yield* broker.trouble)
          if (trouble !== undefined && trouble !== told) yield* Effect.logWarning("no calls come in", trouble)
          if (trouble === undefined && told !== undefined) yield* Effect.logInfo("calls come in again")
          told = trouble
        })
        const fetchFrom = async (stream: JetStreamClient, free: number) => {
          const durable = await stream.consumers.get(streamNames(broker.prefix).work, "execution")
          if (isStopping) return
          messages = await durable.fetch({ max_messages: Math.min(FETCH_MAX, free), expires: FETCH_WAIT_MS })
          for await (const message of messages) {
            if (isStopping) message.nak()
            else {
              inHand.add(message)
              begin(take(message))
            }
          }
        }
        // As many as there are places for, and the next ones when it is known what becomes of these: others may have them.
        const fetchNext = Effect.gen(function* () {
          yield* tell
          const { stream } = yield* broker.ready
          yield* tell
          fetching = fetchFrom(stream, yield* places)
          yield* Effect.tryPromise(() => fetching).pipe(
            Effect.catch(() => Effect.andThen(broker.check, Effect.sleep(FETCH_AGAIN_MS)))
          )
          yield* FiberSet.awaitEmpty(handlers)
        })

        yield* Effect.addFinalizer(() =>
          Effect.sync(() => {
            for (const message of inHand) message.nak()
          })
        )
        yield* Effect.forkScoped(Effect.forever(fetchNext))
        // A question cannot be taken back: what is still sent for it would be missing to others until ACK_WAIT_MS is over.
        yield* Effect.addFinalizer(() =>
          Effect.suspend(() => {
            isStopping = true
            return Effect.promise(() => fetching.catch(() => {}))
          }).pipe(
            Effect.interruptible,
            Effect.timeoutOption(2 * FETCH_WAIT_MS),
            Effect.andThen(Effect.sync(() => messages?.stop()))
          )
        )
      }),
      claim: ask(subjects.claim, ClaimAttempt, ClaimReply),
      report: ask(subjects.report, ReportOutcome, ReportReply)
    })
  })
)

const UNTAKEN: StartTaken = "later"
