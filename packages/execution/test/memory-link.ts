import { Outbox } from "@event-service-agent/platform/outbox"
import { settle } from "@event-service-agent/platform/testing"
import { Transaction } from "@event-service-agent/platform/transaction"
import { Effect, Schema, type Scope } from "effect"
import type { AttemptDesk } from "../src/attempt-desk.ts"
import { ClaimAttempt, ClaimReply, ReportOutcome, ReportReply } from "../src/domain/remote.ts"
import { ExecutorLink, LinkError, type Start, type StartTaken } from "../src/ports/executor-link.ts"

/** How long a question waits for its answer. */
export const ANSWER_TIMEOUT_MS = 2_000

/** What happens to one question and its answer. Milliseconds: the answer comes so late, or below zero the question. */
export type Fault = "question lost" | "answer lost" | "later" | number

const LATER = { _tag: "Later" } as const

type Handle = (start: Start) => Effect.Effect<StartTaken>

/**
 * A broker without a broker: carries starts, questions and answers between the desk of one database process and its
 * executors, as JSON, and loses, delays and repeats what it is told to. Settles rows as a transport has to.
 */
export class MemoryBroker {
  /** The database process that answers; `undefined` while it is down. */
  desk: AttemptDesk["Service"] | undefined
  /** What happens to the next questions, the first one first. */
  readonly faults: { readonly claim: Array<Fault>; readonly report: Array<Fault> } = { claim: [], report: [] }
  /** Every start that was published. */
  readonly starts: Array<Start> = []
  /** By seq those that need not come again. */
  readonly done = new Set<number>()
  /** Questions that were asked, for the tests. */
  readonly asked = { claim: 0, report: 0 }
  readonly #executors: Array<Handle> = []

  /** How many executors take starts. */
  get executors(): number {
    return this.#executors.length
  }

  /** Publishes what was ordered since. */
  readonly relay = Effect.gen({ self: this }, function* () {
    const outbox = yield* Outbox
    const transaction = yield* Transaction
    const after = this.starts.at(-1)?.seq ?? 0
    const { deliveries } = yield* transaction.run(outbox.deliveriesAfter("execution", after, 1_000))
    for (const { message, seq } of deliveries) {
      if (message.type === "StartExecution") this.starts.push({ message, seq, isSealedOmitted: false })
    }
  })

  /** Hands a start to one of the executors, which does with it what it can without waiting for the clock. */
  deliver(start: Start | undefined, executor: number): Effect.Effect<void, never, Scope.Scope> {
    const handle = this.#executors[executor]
    if (start === undefined || handle === undefined) return Effect.die("no such start, or no such executor")
    const note = (taken: StartTaken) =>
      Effect.sync(() => {
        if (taken === "done") this.done.add(start.seq)
      })
    return Effect.andThen(Effect.forkScoped(Effect.flatMap(handle(start), note)), settle)
  }

  /** The link of one executor. What is behind it has the clock of whoever makes it. */
  readonly link = Effect.gen({ self: this }, function* () {
    const agent = yield* Effect.context<never>()
    const outbox = yield* Outbox
    const transaction = yield* Transaction

    const claim = Effect.fnUntraced({ self: this }, function* (request: ClaimAttempt) {
      const { desk } = this
      if (desk === undefined) return yield* noAnswer("claim")
      const { tenantId, serviceCallId, seq, executorId } = request
      const key = { tenantId, serviceCallId }
      const answer = Effect.gen(function* () {
        const waiting = yield* outbox.deliveriesOf("execution", key)
        const own = waiting.find((delivery) => delivery.seq === seq)
        if (own === undefined) return yield* desk.regrant(key, executorId)
        if (own.message.type !== "StartExecution") return yield* Effect.die("not a start")
        yield* outbox.settle("execution", seq)
        return yield* desk.claim(own.message, executorId)
      })
      return yield* Effect.match(transaction.run(answer), {
        onSuccess: (grant): ClaimReply => (grant === undefined ? { _tag: "Refused" } : { _tag: "Granted", grant }),
        onFailure: (): ClaimReply => ({ _tag: "Later" })
      })
    })
    const report = Effect.fnUntraced({ self: this }, function* (request: ReportOutcome) {
      if (this.desk === undefined) return yield* noAnswer("report")
      const { tenantId, serviceCallId, attempt, executorId, outcome } = request
      return yield* Effect.match(this.desk.report({ tenantId, serviceCallId }, attempt, executorId, outcome), {
        onSuccess: (isKnown): ReportReply => ({ _tag: isKnown ? "Confirmed" : "Refused" }),
        onFailure: (): ReportReply => ({ _tag: "Later" })
      })
    })

    return ExecutorLink.of({
      subscribe: (handle) =>
        Effect.acquireRelease(
          Effect.sync(() => this.#executors.push(handle)),
          () => Effect.sync(() => this.#executors.splice(this.#executors.indexOf(handle), 1))
        ),
      claim: (request) =>
        Effect.suspend(() => {
          this.asked.claim++
          const answer = Effect.flatMap(overTheWire(ClaimAttempt)(request), claim)
          return withFault(this.faults.claim.shift(), "claim", Effect.provideContext(answer, agent)).pipe(
            Effect.flatMap(overTheWire(ClaimReply))
          )
        }),
      report: (request) =>
        Effect.suspend(() => {
          this.asked.report++
          const answer = Effect.flatMap(overTheWire(ReportOutcome)(request), report)
          return withFault(this.faults.report.shift(), "report", Effect.provideContext(answer, agent)).pipe(
            Effect.flatMap(overTheWire(ReportReply))
          )
        })
    })
  })
}

const withFault = Effect.fnUntraced(function* <A>(
  fault: Fault | undefined,
  operation: string,
  answer: Effect.Effect<A, LinkError>
) {
  if (fault === "question lost") return yield* noAnswer(operation)
  if (fault === "later") return LATER
  if (typeof fault === "number" && fault < 0) yield* Effect.sleep(-fault)
  const reply = yield* answer
  if (fault === "answer lost") return yield* noAnswer(operation)
  if (fault !== undefined) yield* Effect.sleep(Math.max(0, fault))
  return reply
})

const noAnswer = (operation: string) =>
  Effect.andThen(
    Effect.sleep(ANSWER_TIMEOUT_MS),
    Effect.fail(new LinkError({ operation, cause: new Error("no answer") }))
  )

/** What the schema makes of the value on the other side. */
const overTheWire = <S extends Schema.Codec<unknown, unknown>>(schema: S) => {
  const json = Schema.fromJsonString(schema)
  return (value: S["Type"]): Effect.Effect<S["Type"]> =>
    Effect.orDie(Effect.flatMap(Schema.encodeEffect(json)(value), Schema.decodeEffect(json)))
}
