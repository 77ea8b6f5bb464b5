import { EventBusPort } from "@event-service-agent/platform/event-bus"
import { live } from "@event-service-agent/platform/testing"
import { Context, Effect, Layer, References } from "effect"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { layer as databaseLayer, WriteConnection } from "../../src/sqlite/database.ts"
import { layer as outboxLayer } from "../../src/sqlite/outbox.ts"
import { makePrune } from "../../src/sqlite/retention.ts"
import { layer as transactionLayer } from "../../src/sqlite/transaction.ts"
import { expectedLeft, type Left } from "./retention-model.ts"
import { age, anyCalls, anyRetention, DAY_MS, store, wipe } from "./retention-world.ts"
import { temporaryPath } from "./temporary-database.ts"

const PROPERTY_RUNS = 40
/** After so many looks without a find there is nothing left: each sees a page of the dead letters. */
const EMPTY_LOOKS = 40
const DAYS_LATER = 40

/** Everything in little pieces, and all that is left over in every look. */
const SMALL = { rows: 3, emptySteps: 1_000, callsPerUnit: 2, messagesPerUnit: 2, bytesPerUnit: 1_000, pauseMs: 0 }

const opened = Effect.gen(function* () {
  const storage = Layer.merge(outboxLayer, transactionLayer).pipe(
    Layer.provideMerge(databaseLayer(yield* temporaryPath))
  )
  const context = yield* Layer.buildWithScope(
    EventBusPort.layerEmbedded.pipe(Layer.provideMerge(storage)),
    yield* Effect.scope
  )
  const { database } = Context.get(context, WriteConnection)
  database.run("PRAGMA synchronous = OFF")
  const names = (sql: string): Array<string> =>
    database
      .query<{ readonly name: string }, []>(sql)
      .all()
      .flatMap(({ name }) => name)
      .sort()
  const callsIn = (table: string, condition = "1") =>
    names(`SELECT DISTINCT tenant_id || '/' || service_call_id AS name FROM ${table} WHERE ${condition}`)
  const left = (): Left => ({
    calls: callsIn("service_calls"),
    submissions: callsIn("submissions"),
    sealed: callsIn("service_calls", "sealed IS NOT NULL"),
    messages: names("SELECT message_id AS name FROM outbox"),
    sealedMessages: names("SELECT message_id AS name FROM outbox WHERE sealed IS NOT NULL"),
    deadLetters: names("SELECT message_id AS name FROM dead_letters NATURAL JOIN (SELECT seq, message_id FROM outbox)")
  })
  return { context, database, callsIn, left }
})

describe("retention", () => {
  it(
    "deletes what has become too old, and nothing else, whatever is stored",
    live(
      Effect.gen(function* () {
        const { context, database, callsIn, left } = yield* opened
        const property = fc.asyncProperty(
          anyCalls(100),
          anyCalls(DAYS_LATER),
          anyRetention,
          (first, later, retention) =>
            Effect.gen(function* () {
              const prune = yield* makePrune(retention, SMALL)
              const pruneAll = Effect.gen(function* () {
                for (let empty = 0; empty < EMPTY_LOOKS; ) {
                  empty = Object.values(yield* prune).every((count) => count === 0) ? empty + 1 : 0
                }
              })
              const hasOnlyRowsOfCalls = (table: string) => expect(callsIn(table)).toEqual(left().calls)

              wipe(database)
              store(database, first, 0)
              yield* pruneAll
              expect(left()).toEqual(expectedLeft(first, retention))

              age(database, DAYS_LATER)
              store(database, later, first.length)
              yield* pruneAll
              const laterLeft = expectedLeft([...first.map(aged), ...later], retention)
              expect(left()).toEqual(laterLeft)
              for (const table of ["service_call_tags", "timer_schedules", "execution_attempts"]) {
                hasOnlyRowsOfCalls(table)
              }
            }).pipe(
              Effect.provide(context),
              Effect.provideService(References.MinimumLogLevel, "None"),
              Effect.runPromise
            )
        )
        yield* Effect.promise(() => fc.assert(property, { numRuns: PROPERTY_RUNS }))
      })
    )
  )

  it(
    "keeps a call that one of thousands of messages waits for",
    live(
      Effect.gen(function* () {
        const { context, database, left } = yield* opened
        const ended = { status: "Failed", age: 90, endAge: 90, isKept: false, hasOpenAttempt: false } as const
        const command = { number: 0, type: "SubmitServiceCall", age: 90, hasSealed: false, letterAge: 90 } as const
        const waits = (which: "delivery" | "no") => ({ ...ended, messages: [{ ...command, waits: which }] })
        store(database, [waits("no"), waits("no"), waits("delivery")], 0)
        database.run("UPDATE deliveries SET seq = seq + 5000")
        database.run("UPDATE outbox SET seq = seq + 5000 WHERE message_id = '2/0'")
        database.run(
          `WITH RECURSIVE n (seq) AS (SELECT 100 UNION ALL SELECT seq + 1 FROM n WHERE seq < 4000)
           INSERT INTO deliveries SELECT d.consumer, n.seq, 'crowd', 'call-' || n.seq, 0, 0 FROM n, deliveries d`
        )
        const retention = { finishedMs: DAY_MS, eventsMs: null, deadLettersMs: null, keptRequestsMs: null }
        const pruned = yield* makePrune(retention).pipe(Effect.flatten, Effect.provide(context))
        expect(pruned.calls).toBe(2)
        expect(left().calls).toEqual(["acme/call-1"])
      })
    )
  )

  it(
    "goes on when a dead letter cannot be given up",
    live(
      Effect.gen(function* () {
        const { context, database, left } = yield* opened
        const ended = { status: "Failed", age: 90, endAge: 90, isKept: false, hasOpenAttempt: false } as const
        const message = { number: 0, type: "SubmitServiceCall", age: 90, hasSealed: false, letterAge: 90 } as const
        const dead = { ...message, waits: "dead letter" } as const
        const behind = { ...message, number: 1, waits: "delivery" } as const
        store(
          database,
          [
            { ...ended, messages: [dead, behind] },
            { ...ended, messages: [dead] }
          ],
          0
        )
        database.run("UPDATE outbox SET payload = 'unreadable' WHERE message_id = '0/1'")
        const retention = { finishedMs: DAY_MS, eventsMs: null, deadLettersMs: DAY_MS, keptRequestsMs: null }
        const pruned = yield* makePrune(retention).pipe(Effect.flatten, Effect.provide(context))
        expect(pruned).toMatchObject({ deadLetters: 1, calls: 1 })
        expect(left()).toMatchObject({ calls: ["acme/call-0"], deadLetters: ["0/0"] })
      })
    )
  )
})

const aged = (call: Parameters<typeof expectedLeft>[0][number]) => ({
  ...call,
  age: call.age + DAYS_LATER,
  endAge: call.endAge + DAYS_LATER,
  messages: call.messages.map((message) => ({
    ...message,
    age: message.age + DAYS_LATER,
    letterAge: message.letterAge + DAYS_LATER
  }))
})
