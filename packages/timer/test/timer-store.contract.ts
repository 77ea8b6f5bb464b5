import { live } from "@event-service-agent/platform/testing"
import { Transaction } from "@event-service-agent/platform/transaction"
import { CorrelationId, ServiceCallId, TenantId } from "@event-service-agent/schemas/ids"
import { fromMillis, toMillis } from "@event-service-agent/schemas/time"
import { Effect, type Layer, Option } from "effect"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { type Timer, TimerStore } from "../src/ports/timer-store.ts"

const START = Date.UTC(2027, 0, 1)
const EVER = fromMillis(Date.UTC(9999, 0, 1))
const PROPERTY_RUNS = 50
/** Each run is a few commits, which cost a stored file some milliseconds. */

const uuid = (n: number) => `00000000-0000-7000-8000-${n.toString(16).padStart(12, "0")}`

/** @param dueIn milliseconds after `START` */
const timerOf = (tenant: string, call: number, dueIn: number, version = 1): Timer => ({
  key: { tenantId: TenantId.make(tenant), serviceCallId: ServiceCallId.make(uuid(call)) },
  dueAt: fromMillis(START + dueIn),
  version,
  correlationId: CorrelationId.make(uuid(call * 1_000 + version))
})

const upsert = (timer: Timer) => Effect.flatMap(TimerStore, (store) => store.upsert(timer))
const remove = (timer: Timer) => Effect.flatMap(TimerStore, (store) => store.remove(timer.key))
const takeDue = (dueIn: number, limit = 100) =>
  Effect.flatMap(TimerStore, (store) => store.takeDueAcrossTenants(fromMillis(START + dueIn), limit))
const takeAll = Effect.flatMap(TimerStore, (store) => store.takeDueAcrossTenants(EVER, Number.MAX_SAFE_INTEGER))
/** Milliseconds after `START`; `null` when nothing is armed. */
const earliest = Effect.gen(function* () {
  const store = yield* TimerStore
  return Option.match(yield* store.earliestAcrossTenants, {
    onNone: () => null,
    onSome: (dueAt) => toMillis(dueAt) - START
  })
})
/** One unit of work. */
const commit = <A, E, R>(unit: Effect.Effect<A, E, R>) => Effect.flatMap(Transaction, ({ run }) => run(unit))
const rollBack = <A, E, R>(unit: Effect.Effect<A, E, R>) =>
  Effect.flip(commit(Effect.andThen(unit, Effect.fail("rolled back" as const))))
const sorted = (timers: ReadonlyArray<Timer>) =>
  timers
    .map(({ key, dueAt, version, correlationId }) => [
      toMillis(dueAt),
      key.tenantId,
      key.serviceCallId,
      version,
      correlationId
    ])
    .sort()

/** What every `TimerStore` promises. The layer starts with an empty store each time it is built. */
export const timerStoreContract = (name: string, layer: Layer.Layer<TimerStore | Transaction, unknown>): void => {
  const test = (sentence: string, effect: Effect.Effect<void, unknown, TimerStore | Transaction>) =>
    it(sentence, live(Effect.provide(effect, layer)))

  describe(`TimerStore ${name}`, () => {
    test(
      "gives due timers oldest first, each once, with all that was stored",
      Effect.gen(function* () {
        const [first, second, third] = [timerOf("a", 1, 10), timerOf("b", 2, 20, 7), timerOf("a", 3, 30)]
        yield* commit(Effect.forEach([third, first, second], upsert))
        expect(yield* commit(takeDue(100))).toEqual([first, second, third])
        expect(yield* commit(takeDue(100))).toEqual([])
      })
    )

    test(
      "gives a timer from its due time on, and not a millisecond before",
      Effect.gen(function* () {
        const timer = timerOf("a", 1, 10)
        yield* commit(upsert(timer))
        expect(yield* commit(takeDue(9))).toEqual([])
        expect(yield* commit(takeDue(10))).toEqual([timer])
      })
    )

    test(
      "gives at most as many as asked for, and the rest the next time",
      Effect.gen(function* () {
        const timers = [1, 2, 3, 4, 5].map((n) => timerOf("a", n, n))
        yield* commit(Effect.forEach(timers, upsert))
        expect(yield* commit(takeDue(4, 3))).toEqual(timers.slice(0, 3))
        expect(yield* commit(takeDue(4, 3))).toEqual(timers.slice(3, 4))
        expect(yield* commit(earliest)).toBe(5)
      })
    )

    test(
      "gives each tenant a turn, in rounds, whoever has the older timers",
      Effect.gen(function* () {
        const ofA = [1, 2, 3].map((n) => timerOf("a", n, n))
        const ofB = [timerOf("b", 1, 9), timerOf("b", 2, 8), timerOf("b", 3, 50)]
        const ofD = timerOf("d", 1, 7)
        yield* commit(Effect.forEach([...ofA, ...ofB, timerOf("c", 1, 60), ofD], upsert))
        const take = (after: string | null, tenants: number) =>
          commit(
            Effect.flatMap(TimerStore, (store) =>
              store.takeDueOfNextTenants(after === null ? null : TenantId.make(after), fromMillis(START + 10), {
                tenants,
                timers: 2
              })
            )
          )
        expect(yield* take(null, 2)).toEqual({ timers: [ofA[0], ofA[1], ofB[1], ofB[0]], last: "b" })
        expect(yield* take("b", 3)).toEqual({ timers: [ofD], last: null })
        expect(yield* take(null, 1)).toEqual({ timers: [ofA[2]], last: "a" })
        expect(yield* commit(takeAll)).toEqual([ofB[2], timerOf("c", 1, 60)])
      })
    )

    test(
      "moves the call's timer when it is armed again, and is unchanged when the same timer comes twice",
      Effect.gen(function* () {
        const moved = timerOf("a", 1, 50, 2)
        yield* commit(Effect.forEach([timerOf("a", 1, 10), moved, moved], upsert))
        expect(yield* commit(takeDue(49))).toEqual([])
        expect(yield* commit(takeDue(100))).toEqual([moved])
      })
    )

    test(
      "removes the call's timer, and nothing when there is none",
      Effect.gen(function* () {
        const [kept, removed] = [timerOf("a", 1, 10), timerOf("a", 2, 10)]
        yield* commit(Effect.forEach([kept, removed], upsert))
        yield* commit(Effect.forEach([removed, removed, timerOf("a", 3, 10)], remove))
        expect(yield* commit(takeDue(100))).toEqual([kept])
      })
    )

    test(
      "keeps tenants apart that use the same call id",
      Effect.gen(function* () {
        const [ofA, ofB] = [timerOf("a", 1, 10), timerOf("b", 1, 20)]
        yield* commit(Effect.forEach([ofA, ofB], upsert))
        yield* commit(remove(ofA))
        expect(yield* commit(takeDue(100))).toEqual([ofB])
      })
    )

    test(
      "knows the earliest due time, within the unit, too",
      Effect.gen(function* () {
        expect(yield* commit(earliest)).toBe(null)
        expect(yield* commit(Effect.andThen(upsert(timerOf("a", 1, 20)), earliest))).toBe(20)
        expect(yield* commit(Effect.andThen(upsert(timerOf("b", 2, 10)), earliest))).toBe(10)
        expect(yield* commit(Effect.andThen(upsert(timerOf("b", 2, 30, 2)), earliest))).toBe(20)
        expect(yield* commit(Effect.andThen(takeDue(25), earliest))).toBe(30)
        expect(yield* commit(Effect.andThen(remove(timerOf("b", 2, 30)), earliest))).toBe(null)
      })
    )

    it(
      "behaves like a list of timers, whatever is committed or rolled back",
      live(
        Effect.provide(
          Effect.gen(function* () {
            const services = yield* Effect.context<TimerStore | Transaction>()
            const check = (steps: ReadonlyArray<Step>) =>
              Effect.runPromiseWith(services)(Effect.andThen(commit(takeAll), followsModel(steps)))
            yield* Effect.promise(() => fc.assert(fc.asyncProperty(anySteps, check), { numRuns: PROPERTY_RUNS }))
          }),
          layer
        )
      )
    )
  })
}

type Change =
  | { readonly type: "upsert" | "remove"; readonly timer: Timer }
  | { readonly type: "takeDue"; readonly dueIn: number; readonly limit: number }
interface Step {
  readonly changes: ReadonlyArray<Change>
  readonly isRolledBack: boolean
}

const anyTimer = fc
  .record({
    tenant: fc.constantFrom("a", "b"),
    call: fc.integer({ min: 1, max: 8 }),
    // Few instants, so that many timers share one, and one that is ten years away.
    dueIn: fc.oneof(fc.integer({ min: 0, max: 5 }), fc.constant(10 * 365 * 86_400_000)),
    version: fc.integer({ min: 1, max: 99 })
  })
  .map(({ tenant, call, dueIn, version }) => timerOf(tenant, call, dueIn, version))
const anyChange: fc.Arbitrary<Change> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ type: fc.constant("upsert" as const), timer: anyTimer }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("remove" as const), timer: anyTimer }) },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant("takeDue" as const),
      dueIn: fc.integer({ min: 0, max: 5 }),
      limit: fc.integer({ min: 1, max: 4 })
    })
  }
)
const anySteps = fc.array(fc.record({ changes: fc.array(anyChange, { maxLength: 10 }), isRolledBack: fc.boolean() }), {
  maxLength: 8
})

const followsModel = Effect.fnUntraced(function* (steps: ReadonlyArray<Step>) {
  let model: ReadonlyArray<Timer> = []
  for (const { changes, isRolledBack } of steps) {
    const unit = Effect.gen(function* () {
      let armed = model
      for (const change of changes) armed = yield* applyBoth(change, armed)
      return armed
    })
    if (isRolledBack) yield* rollBack(unit)
    else model = yield* commit(unit)
    const dues = model.map((timer) => toMillis(timer.dueAt) - START)
    expect(yield* commit(earliest)).toBe(dues.length === 0 ? null : Math.min(...dues))
  }
  expect(sorted(yield* commit(takeAll))).toEqual(sorted(model))
})

/** Makes the change in the store, and gives the model after it. */
const applyBoth = Effect.fnUntraced(function* (change: Change, armed: ReadonlyArray<Timer>) {
  if (change.type === "takeDue") {
    const taken = yield* takeDue(change.dueIn, change.limit)
    const dueTimes = taken.map((timer) => toMillis(timer.dueAt))
    const expected = armed.map((timer) => toMillis(timer.dueAt)).filter((dueAt) => dueAt <= START + change.dueIn)
    expect(dueTimes).toEqual(expected.sort((a, b) => a - b).slice(0, change.limit))
    return armed.filter((timer) => !taken.some((one) => isSameCall(one, timer)))
  }
  const others = armed.filter((timer) => !isSameCall(timer, change.timer))
  if (change.type === "remove") {
    yield* remove(change.timer)
    return others
  }
  yield* upsert(change.timer)
  return [...others, change.timer]
})

const isSameCall = (a: Timer, b: Timer) =>
  a.key.tenantId === b.key.tenantId && a.key.serviceCallId === b.key.serviceCallId
