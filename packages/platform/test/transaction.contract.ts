import { MessageId } from "@event-service-agent/schemas/ids"
import { Deferred, Effect, Exit, Fiber, type Layer } from "effect"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Outbox } from "../src/outbox.ts"
import { StorageError } from "../src/storage-error.ts"
import { Transaction, UnitOfWork } from "../src/transaction.ts"
import { keyOfCall, numbered, numberOf } from "./messages.ts"
import { live, settle } from "./testing.ts"

/** What every writer promises. The outbox is what its units write to. */
export const transactionContract = (name: string, layer: Layer.Layer<Transaction | Outbox, unknown>) =>
  describe(`Transaction, ${name}`, () => {
    const within = <A, E>(test: Effect.Effect<A, E, Transaction | Outbox>) => live(Effect.provide(test, layer))

    const write = Effect.fnUntraced(function* (call: number, n: number) {
      const outbox = yield* Outbox
      const message = { ...numbered(call, n), messageId: messageId(n), schemaVersion: 1 as const }
      yield* outbox.append([{ message, to: ["orchestration"] }])
    })
    const written = (call: number) =>
      Effect.gen(function* () {
        const transaction = yield* Transaction
        const outbox = yield* Outbox
        const deliveries = yield* transaction.run(outbox.deliveriesOf("orchestration", keyOfCall(call)))
        return deliveries.map((delivery) => numberOf(delivery.message))
      })

    it(
      "keeps what a unit wrote, and answers with its result",
      within(
        Effect.gen(function* () {
          const transaction = yield* Transaction
          expect(yield* transaction.run(Effect.as(write(1, 7), "done"))).toBe("done")
          expect(yield* written(1)).toEqual([7])
        })
      )
    )

    it("keeps nothing of a failed unit and everything of its neighbours", async () => {
      const unit = fc.record({ writes: fc.nat(3), fails: fc.boolean() })
      await fc.assert(
        fc.asyncProperty(fc.array(unit, { maxLength: 30 }), (units) =>
          within(
            Effect.gen(function* () {
              const transaction = yield* Transaction
              const log: Array<string> = []
              let inMemory = 0
              const run = ({ writes, fails }: (typeof units)[number], index: number) =>
                Effect.gen(function* () {
                  const uow = yield* UnitOfWork
                  for (let n = 0; n < writes; n++) yield* write(index, n)
                  inMemory += 1
                  uow.onRollback(() => {
                    inMemory -= 1
                  })
                  uow.afterCommit(Effect.sync(() => log.push(`committed ${index}`)))
                  return fails ? yield* Effect.fail(`failed ${index}`) : index
                }).pipe(transaction.run, Effect.exit)
              const exits = yield* Effect.forEach(units, run, { concurrency: "unbounded" })

              for (const [index, { writes, fails }] of units.entries()) {
                expect(exits[index]).toEqual(fails ? Exit.fail(`failed ${index}`) : Exit.succeed(index))
                expect(yield* written(index)).toEqual(fails ? [] : Array.from({ length: writes }, (_, n) => n))
              }
              const kept = units.flatMap(({ fails }, index) => (fails ? [] : [index]))
              expect(log).toEqual(kept.map((index) => `committed ${index}`))
              expect(inMemory).toBe(kept.length)
            })
          )()
        ),
        { numRuns: 30 }
      )
    })

    it(
      "isolates a unit that dies",
      within(
        Effect.gen(function* () {
          const transaction = yield* Transaction
          const dies = transaction.run(Effect.andThen(write(1, 1), Effect.die("bug")))
          const [died] = yield* Effect.all([Effect.exit(dies), transaction.run(write(2, 2))], { concurrency: 2 })
          expect(Exit.isFailure(died)).toBe(true)
          expect(yield* written(1)).toEqual([])
          expect(yield* written(2)).toEqual([2])
        })
      )
    )

    it(
      "refuses a unit that waits, as a defect, and keeps nothing of it",
      within(
        Effect.gen(function* () {
          const transaction = yield* Transaction
          const never = yield* Deferred.make<void>()
          const waits = Effect.andThen(write(1, 1), Effect.andThen(Deferred.await(never), write(1, 2)))
          const exit = yield* Effect.exit(transaction.run(waits))
          expect(Exit.isFailure(exit)).toBe(true)
          yield* Deferred.succeed(never, undefined)
          yield* settle
          expect(yield* written(1)).toEqual([])
        })
      )
    )

    it(
      "runs the hooks before it answers, and a hook may start a further unit",
      within(
        Effect.gen(function* () {
          const transaction = yield* Transaction
          const seen: Array<string> = []
          const second = yield* Deferred.make<void>()
          const further = transaction
            .run(write(1, 2))
            .pipe(Effect.andThen(Deferred.succeed(second, undefined)), Effect.provideService(Outbox, yield* Outbox))
          yield* transaction.run(
            Effect.gen(function* () {
              const uow = yield* UnitOfWork
              uow.afterCommit(Effect.sync(() => seen.push("first hook")))
              uow.afterCommit(Effect.die("a broken hook harms nobody"))
              uow.afterCommit(Effect.asVoid(Effect.forkDetach(further)))
              yield* write(1, 1)
            })
          )
          seen.push("answered")
          yield* Deferred.await(second)
          expect(seen).toEqual(["first hook", "answered"])
          expect(yield* written(1)).toEqual([1, 2])
        })
      )
    )

    it(
      "drops a unit whose caller was interrupted before its turn",
      within(
        Effect.gen(function* () {
          const transaction = yield* Transaction
          const fiber = yield* Effect.forkChild(transaction.run(write(1, 1)), { startImmediately: true })
          yield* Fiber.interrupt(fiber)
          expect(yield* written(1)).toEqual([])
        })
      )
    )

    it("has an error for people", () => {
      expect(new StorageError({ operation: "INSERT INTO outbox", cause: new Error("disk full") }).message).toBe(
        "INSERT INTO outbox: disk full"
      )
    })
  })

const messageId = (n: number) => MessageId.make(`00000000-0000-7000-9000-${String(n).padStart(12, "0")}`)
