import { Effect, Exit, Fiber, Option } from "effect"
import { describe, expect, it } from "vitest"
import { type Journal, makeTransaction, memoryJournal, UnitOfWork } from "../src/transaction.ts"
import { live, settle } from "./testing.ts"

/** A writer whose syncs end when they are told to, with what it has done so far. */
const makeWriter = Effect.gen(function* () {
  const steps: Array<string> = []
  const syncs: Array<PromiseWithResolvers<void>> = []
  let writes = 0
  const journal: Journal = {
    ...memoryJournal,
    writes: () => writes,
    commit: () => {
      steps.push("commit")
    },
    sync: () => {
      const sync = Promise.withResolvers<void>()
      syncs.push(sync)
      steps.push("sync")
      return sync.promise
    }
  }
  const transaction = yield* makeTransaction(journal)
  // The writer waits for its sync even when a test that failed is left.
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      for (const { resolve } of syncs) resolve()
    })
  )
  const run = (name: string, writesToo = true) =>
    transaction
      .run(
        Effect.map(UnitOfWork, (unit) => {
          if (writesToo) writes++
          unit.afterCommit(Effect.sync(() => steps.push(`hook of ${name}`)))
        })
      )
      .pipe(
        Effect.tap(() => Effect.sync(() => steps.push(`answer to ${name}`))),
        Effect.exit,
        (unit) => Effect.forkChild(unit, { startImmediately: true })
      )
  return { transaction, run, steps, syncs }
})

/** Lets a sync end, and the writer go on. */
const after = (change: (() => void) | undefined) =>
  Effect.andThen(
    Effect.promise(async () => change?.()),
    settle
  )

describe("Transaction, over a journal that syncs", () => {
  it(
    "tells nobody of a commit before it is synced, and lets what comes meanwhile wait for the next",
    live(
      Effect.gen(function* () {
        const { run, steps, syncs } = yield* makeWriter
        const first = [yield* run("a"), yield* run("b")]
        yield* settle
        expect(steps).toEqual(["commit", "sync"])
        const second = yield* run("c")
        yield* settle
        expect(steps).toEqual(["commit", "sync"])
        yield* after(syncs[0]?.resolve)
        yield* Fiber.joinAll(first)
        const told = ["hook of a", "answer to a", "hook of b", "answer to b"]
        expect(steps).toEqual(["commit", "sync", ...told, "commit", "sync"])
        yield* after(syncs[1]?.resolve)
        yield* Fiber.join(second)
        expect(steps.slice(-2)).toEqual(["hook of c", "answer to c"])
      })
    )
  )

  it(
    "does not sync for units that have only read",
    live(
      Effect.gen(function* () {
        const { run, steps, syncs } = yield* makeWriter
        yield* Fiber.join(yield* run("reader", false))
        expect(syncs).toHaveLength(0)
        expect(steps).toContain("answer to reader")
      })
    )
  )

  it(
    "fails everybody in a commit that could not be synced, and then writes no more: nobody knows what is on the disk",
    live(
      Effect.gen(function* () {
        const { transaction, run, steps, syncs } = yield* makeWriter
        const units = [yield* run("a"), yield* run("b")]
        yield* settle
        yield* after(() => syncs[0]?.reject(new Error("EIO")))
        const later = yield* run("c")
        for (const unit of [...units, later]) {
          const exit = yield* Fiber.join(unit)
          expect(Option.getOrUndefined(Exit.findErrorOption(exit))).toMatchObject({
            message: "sync: EIO",
            isUnsynced: true,
            isFinal: true
          })
        }
        expect(steps).toEqual(["commit", "sync"])
        expect(Option.isSome(yield* transaction.refusal)).toBe(true)
      })
    )
  )

  it(
    "commits together, and syncs once, what had not had its turn when the storage ended the transaction",
    live(
      Effect.gen(function* () {
        const steps: Array<string> = []
        let writes = 0
        let isActive = true
        const transaction = yield* makeTransaction({
          ...memoryJournal,
          writes: () => writes,
          isActive: () => isActive,
          begin: () => {
            isActive = true
            steps.push("begin")
          },
          commit: () => {
            steps.push("commit")
          }
        })
        const run = (name: string, endsTransaction = false) =>
          transaction
            .run(
              Effect.sync(() => {
                writes++
                steps.push(name)
                if (endsTransaction) isActive = false
              })
            )
            .pipe(Effect.exit, (unit) => Effect.forkChild(unit, { startImmediately: true }))
        const units = [yield* run("too large", true), yield* run("b"), yield* run("c")]
        const exits = yield* Effect.forEach(units, Fiber.join)
        expect(exits.map(Exit.isSuccess)).toEqual([false, true, true])
        expect(steps).toEqual(["begin", "too large", "begin", "b", "c", "commit"])
      })
    )
  )
})
