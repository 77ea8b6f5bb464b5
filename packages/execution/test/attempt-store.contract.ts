import { onTestClock } from "@event-service-agent/platform/testing"
import { Transaction, type UnitOfWork } from "@event-service-agent/platform/transaction"
import { CorrelationId, MessageId, ServiceCallId, TenantId } from "@event-service-agent/schemas/ids"
import { fromMillis } from "@event-service-agent/schemas/time"
import { Effect, type Layer } from "effect"
import { describe, expect, it } from "vitest"
import type { AttemptOutcome, OpenAttempt } from "../src/domain/attempt.ts"
import { AttemptStore, type RecordedAttempt } from "../src/ports/attempt-store.ts"

const uuid = (n: number) => `019a53b1-7c00-7d4e-8a51-${n.toString(16).padStart(12, "0")}`

/** The nth call's attempt by process "now", with its deadline `n` milliseconds after 1970. */
const attemptOf = (n: number, other: Partial<OpenAttempt> = {}): OpenAttempt => ({
  key: { tenantId: TenantId.make("acme"), serviceCallId: ServiceCallId.make(uuid(n)) },
  number: 1,
  processId: "now",
  isRemote: false,
  startedAt: fromMillis(0),
  deadlineAt: fromMillis(n),
  correlationId: CorrelationId.make(uuid(1_000 + n)),
  causationId: MessageId.make(uuid(2_000 + n)),
  sealedForResend: null,
  ...other
})

const SUCCEEDED: AttemptOutcome = {
  _tag: "Succeeded",
  sentAt: fromMillis(1),
  finishedAt: fromMillis(2),
  responseMeta: { status: 200, headers: { server: "x" }, bodySnippet: "grüezi", bodyBytes: 7, latencyMs: 1 }
}
const FAILED: AttemptOutcome = {
  _tag: "Failed",
  sentAt: null,
  finishedAt: fromMillis(3),
  errorMeta: { kind: "OutcomeUnknown", message: "Nobody knows", sent: "maybe" }
}

const open = (attempt: OpenAttempt): RecordedAttempt => ({ attempt, outcome: null, evidence: null })
const { key } = attemptOf(1)
const ALL = 100

const inUnit = Effect.fnUntraced(function* <A, E>(
  use: (store: AttemptStore["Service"]) => Effect.Effect<A, E, UnitOfWork>
) {
  const store = yield* AttemptStore
  const transaction = yield* Transaction
  return yield* transaction.run(use(store))
})
const claim = (attempt: OpenAttempt) => inUnit((store) => store.claim(attempt))
const attemptsOf = (attempt: OpenAttempt) => inUnit((store) => store.attemptsOf(attempt.key))

/** What every `AttemptStore` does. Each test builds the layer anew. */
export const attemptStoreContract = <LE>(name: string, layer: Layer.Layer<AttemptStore | Transaction, LE>) => {
  const test = <E>(effect: Effect.Effect<void, E, AttemptStore | Transaction>) =>
    onTestClock(Effect.provide(effect, layer))

  describe(`AttemptStore, ${name}`, () => {
    it(
      "keeps one attempt of each number for each call of each tenant",
      test(
        Effect.gen(function* () {
          const other = attemptOf(1, { key: { ...key, tenantId: TenantId.make("umbrella") } })
          const second = attemptOf(1, { number: 2, sealedForResend: new Uint8Array([1, 2, 3]) })
          expect(yield* attemptsOf(attemptOf(1))).toEqual([])
          expect(yield* claim(second)).toBe(true)
          expect(yield* claim(attemptOf(1))).toBe(true)
          expect(yield* attemptsOf(other)).toEqual([])
          expect(yield* claim(other)).toBe(true)
          expect(yield* claim(attemptOf(1, { processId: "later" }))).toBe(false)
          expect(yield* claim(attemptOf(1, { number: 2 }))).toBe(false)
          expect(yield* attemptsOf(attemptOf(1))).toEqual([open(attemptOf(1)), open(second)])
          expect(yield* attemptsOf(other)).toEqual([open(other)])
        })
      )
    )

    it(
      "closes an open attempt, once, and only it, and erases what a further one would send",
      test(
        Effect.gen(function* () {
          const sealedForResend = new Uint8Array([1, 2, 3])
          const others = [attemptOf(1, { number: 2, sealedForResend }), attemptOf(2, { sealedForResend })]
          for (const attempt of [attemptOf(1, { sealedForResend }), ...others]) yield* claim(attempt)
          expect(yield* inUnit((store) => store.close(key, 3, SUCCEEDED))).toBe(false)
          expect(yield* inUnit((store) => store.close(attemptOf(3).key, 1, SUCCEEDED))).toBe(false)
          expect(yield* inUnit((store) => store.close(key, 1, SUCCEEDED))).toBe(true)
          expect(yield* inUnit((store) => store.close(key, 1, FAILED))).toBe(false)
          expect(yield* claim(attemptOf(1))).toBe(false)
          const closed = { ...open(attemptOf(1)), outcome: SUCCEEDED }
          expect([...(yield* attemptsOf(attemptOf(1))), ...(yield* attemptsOf(attemptOf(2)))]).toEqual([
            closed,
            ...others.map(open)
          ])
        })
      )
    )

    it(
      "keeps a late result beside the outcome",
      test(
        Effect.gen(function* () {
          yield* claim(attemptOf(1))
          yield* inUnit((store) => store.close(key, 1, FAILED))
          yield* inUnit((store) => store.keepEvidence(key, 1, SUCCEEDED))
          expect(yield* attemptsOf(attemptOf(1))).toEqual([
            { attempt: attemptOf(1), outcome: FAILED, evidence: SUCCEEDED }
          ])
        })
      )
    )

    it(
      "lists open attempts that are overdue or of another process, oldest deadline first, of all tenants",
      test(
        Effect.gen(function* () {
          const due = attemptOf(9)
          const notDue = attemptOf(11)
          const dueNow = attemptOf(10, { key: { ...attemptOf(10).key, tenantId: TenantId.make("umbrella") } })
          const ofAnother = attemptOf(12, { processId: "before" })
          const ended = attemptOf(1)
          for (const attempt of [ofAnother, dueNow, notDue, due, ended]) yield* claim(attempt)
          yield* inUnit((store) => store.close(ended.key, 1, SUCCEEDED))
          const overdue = (limit: number) => inUnit((store) => store.overdueOfAllTenants(fromMillis(10), "now", limit))
          expect(yield* overdue(ALL)).toEqual([due, dueNow, ofAnother])
          expect(yield* overdue(2)).toEqual([due, dueNow])
        })
      )
    )

    it(
      "leaves the attempts of executors to them until their deadline, and tells which are open, of all tenants",
      test(
        Effect.gen(function* () {
          const remote = { processId: "elsewhere", isRemote: true, sealedForResend: new Uint8Array([1]) }
          const overdue = attemptOf(10, remote)
          const umbrella = { key: { ...attemptOf(11).key, tenantId: TenantId.make("umbrella") } }
          const performed = attemptOf(11, { ...remote, ...umbrella })
          const ended = attemptOf(12, remote)
          const attempts = [overdue, performed, ended, attemptOf(13, { processId: "before" }), attemptOf(14)]
          for (const attempt of attempts) yield* claim(attempt)
          yield* inUnit((store) => store.close(ended.key, 1, SUCCEEDED))
          expect(yield* inUnit((store) => store.overdueOfAllTenants(fromMillis(10), "now", ALL))).toEqual([
            overdue,
            attemptOf(13, { processId: "before" })
          ])
          const open = yield* inUnit((store) => store.remoteOfAllTenants)
          expect(open).toHaveLength(2)
          for (const { key, number, processId, isRemote, startedAt, deadlineAt } of [overdue, performed]) {
            const lease = { key, number, processId, isRemote, startedAt, deadlineAt }
            expect(open).toContainEqual(expect.objectContaining(lease))
          }
        })
      )
    )

    it(
      "takes everything back when the unit fails",
      test(
        Effect.gen(function* () {
          yield* claim(attemptOf(1))
          yield* Effect.flip(
            inUnit((store) =>
              Effect.gen(function* () {
                yield* store.claim(attemptOf(2))
                yield* store.close(key, 1, FAILED)
                yield* store.keepEvidence(key, 1, SUCCEEDED)
                return yield* Effect.fail("no")
              })
            )
          )
          expect(yield* attemptsOf(attemptOf(2))).toEqual([])
          expect(yield* attemptsOf(attemptOf(1))).toEqual([open(attemptOf(1))])
        })
      )
    )
  })
}
