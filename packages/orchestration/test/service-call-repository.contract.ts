import { live } from "@event-service-agent/platform/testing"
import { Transaction } from "@event-service-agent/platform/transaction"
import { fromMillis } from "@event-service-agent/schemas/time"
import { Effect, type Layer, Option } from "effect"
import { describe, expect, it } from "vitest"
import { awaitRelease, cancel, changeTags, type ServiceCall } from "../src/domain/service-call.ts"
import { RevisionConflict, ServiceCallRepository } from "../src/ports/service-call-repository.ts"
import { keyOf } from "./drafts.ts"
import { everyState, failed, running, scheduled, succeeded } from "./service-calls.ts"

type Ports = ServiceCallRepository | Transaction

/** What every repository promises. Each test builds the layer anew, empty. */
export const serviceCallRepositoryContract = (name: string, layer: Layer.Layer<Ports, unknown>) =>
  describe(`ServiceCallRepository, ${name}`, () => {
    const test = <A, E>(sentence: string, effect: Effect.Effect<A, E, Ports>) =>
      it(sentence, live(Effect.provide(effect, layer)))
    const commit = <A, E, R>(unit: (repository: ServiceCallRepository["Service"]) => Effect.Effect<A, E, R>) =>
      Effect.gen(function* () {
        const transaction = yield* Transaction
        return yield* transaction.run(unit(yield* ServiceCallRepository))
      })
    const insert = (call: ServiceCall) => commit((repository) => repository.insert(call))
    const find = (call: ServiceCall) => commit((repository) => repository.find(call))

    for (const [index, call] of everyState.entries()) {
      test(
        `gives a ${call._tag} call (${index}) back as it was stored, to its tenant alone`,
        Effect.gen(function* () {
          expect(yield* insert(call)).toBe(true)
          expect(yield* find(call)).toEqual(Option.some(call))
          expect(yield* find({ ...call, ...keyOf(1, "other") })).toEqual(Option.none())
        })
      )
    }

    test(
      "keeps the first of two calls with the same id",
      Effect.gen(function* () {
        yield* insert(scheduled)
        expect(yield* insert({ ...scheduled, name: "another", tags: ["x"] })).toBe(false)
        expect(yield* find(scheduled)).toEqual(Option.some(scheduled))
      })
    )

    test(
      "updates a call only from the status and revision it has",
      Effect.gen(function* () {
        yield* insert(scheduled)
        yield* commit((repository) => repository.update(scheduled, running))
        expect(yield* find(scheduled)).toEqual(Option.some(running))
        for (const stale of [scheduled, { ...running, revision: 99 }, { ...scheduled, revision: running.revision }]) {
          const conflict = yield* Effect.flip(commit((repository) => repository.update(stale, succeeded)))
          expect(conflict).toBeInstanceOf(RevisionConflict)
        }
        expect(yield* find(scheduled)).toEqual(Option.some(running))
      })
    )

    test(
      "replaces the tags",
      Effect.gen(function* () {
        yield* insert(scheduled)
        const changed = changeTags(scheduled, ["b", "c"])
        yield* commit((repository) => repository.update(scheduled, changed))
        expect(yield* find(scheduled)).toEqual(Option.some(changed))
      })
    )

    test(
      "gives the waiting call that was due first, of one tenant",
      Effect.gen(function* () {
        const waiting = (n: number, dueAt: number, tenant?: string) =>
          awaitRelease({ ...scheduled, ...keyOf(n, tenant), dueAt: fromMillis(dueAt) })
        const oldest = waiting(2, 100)
        for (const call of [waiting(1, 200), oldest, waiting(3, 50, "other"), { ...scheduled, ...keyOf(4) }]) {
          yield* insert(call)
        }
        const { tenantId } = oldest
        expect(yield* commit((repository) => repository.oldestDue(tenantId))).toEqual(Option.some(oldest))
        yield* commit((repository) => repository.update(oldest, cancel(oldest, null, fromMillis(300))))
        expect(yield* commit((repository) => repository.oldestDue(tenantId))).toMatchObject({
          value: { serviceCallId: keyOf(1).serviceCallId }
        })
        expect(yield* commit((repository) => repository.oldestDue(keyOf(1, "nobody").tenantId))).toEqual(Option.none())
      })
    )

    test(
      "counts the calls in flight and those that wait, by tenant",
      Effect.gen(function* () {
        const calls = [
          { ...running, ...keyOf(1) },
          { ...running, ...keyOf(2) },
          { ...running, ...keyOf(3, "other") },
          { ...awaitRelease(scheduled), ...keyOf(4) },
          { ...scheduled, ...keyOf(5) },
          { ...failed, ...keyOf(6) }
        ]
        for (const call of calls) yield* insert(call)
        const counts = yield* commit((repository) => repository.countAllTenants)
        expect(counts.running).toEqual(
          new Map([
            [keyOf(1).tenantId, 2],
            [keyOf(1, "other").tenantId, 1]
          ])
        )
        expect(counts.due).toEqual(new Map([[keyOf(1).tenantId, 1]]))
      })
    )

    test(
      "takes everything back when the unit fails",
      Effect.gen(function* () {
        yield* insert(scheduled)
        yield* Effect.flip(
          commit((repository) => Effect.andThen(repository.update(scheduled, running), Effect.fail("no")))
        )
        expect(yield* find(scheduled)).toEqual(Option.some(scheduled))
      })
    )
  })
