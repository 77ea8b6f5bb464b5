import { live } from "@event-service-agent/platform/testing"
import { Transaction } from "@event-service-agent/platform/transaction"
import { CorrelationId, ServiceCallId, TenantId } from "@event-service-agent/schemas/ids"
import { fromMillis } from "@event-service-agent/schemas/time"
import { Effect, type Layer, Option } from "effect"
import { describe, expect, it } from "vitest"
import { type Submission, SubmissionStore } from "../src/ports/submission-store.ts"

type Ports = SubmissionStore | Transaction

export const acme = TenantId.make("acme")
export const callId = (number: number) =>
  ServiceCallId.make(`00000000-0000-7000-8000-${String(number).padStart(12, "0")}`)

export const submissionOf = (number: number, acceptedAt: number, changes?: Partial<Submission>): Submission => ({
  tenantId: acme,
  serviceCallId: callId(number),
  fingerprint: `fingerprint ${number}`,
  acceptedAt: fromMillis(acceptedAt),
  dueAt: fromMillis(acceptedAt),
  name: `call ${number}`,
  clonedFrom: null,
  request: { method: "GET", url: "https://example.com/", headers: { accept: "text/plain" }, bodyBytes: 0 },
  tags: ["a", "b"],
  timeoutMs: 10_000,
  onUnknown: "fail",
  correlationId: CorrelationId.make("00000000-0000-7000-8000-000000000000"),
  ...changes
})

/** What every submission store promises. Each test builds the layer anew, empty. */
export const submissionStoreContract = (name: string, layer: Layer.Layer<Ports, unknown>) =>
  describe(`SubmissionStore, ${name}`, () => {
    const test = <A, E>(sentence: string, effect: Effect.Effect<A, E, Ports>) =>
      it(sentence, live(Effect.provide(effect, layer)))
    const insert = Effect.fnUntraced(function* (...submissions: ReadonlyArray<Submission>) {
      const store = yield* SubmissionStore
      const transaction = yield* Transaction
      return yield* transaction.run(Effect.forEach(submissions, store.insert))
    })

    test(
      "gives a submission back as it was stored, to its tenant alone",
      Effect.gen(function* () {
        const submission = submissionOf(1, 1_700_000_000_123)
        expect(yield* insert(submission)).toEqual([Option.none()])
        const store = yield* SubmissionStore
        expect(yield* store.get(submission)).toEqual(Option.some(submission))
        expect(yield* store.get({ ...submission, tenantId: TenantId.make("other") })).toEqual(Option.none())
      })
    )

    test(
      "keeps the first of two submissions with one key and says which it was, within a unit and across units",
      Effect.gen(function* () {
        const first = submissionOf(1, 1)
        const second = submissionOf(1, 2, { fingerprint: "other", name: "other" })
        expect(yield* insert(first, second)).toEqual([Option.none(), Option.some(first)])
        expect(yield* insert(second)).toEqual([Option.some(first)])
        expect(yield* insert({ ...second, tenantId: TenantId.make("other") })).toEqual([Option.none()])
        const store = yield* SubmissionStore
        expect(yield* store.get(first)).toEqual(Option.some(first))
      })
    )

    test(
      "keeps nothing of a unit that fails",
      Effect.gen(function* () {
        const store = yield* SubmissionStore
        const transaction = yield* Transaction
        const submission = submissionOf(1, 1)
        yield* Effect.flip(transaction.run(Effect.andThen(store.insert(submission), Effect.fail("no"))))
        expect(yield* store.get(submission)).toEqual(Option.none())
        expect(yield* insert(submission)).toEqual([Option.none()])
      })
    )

    test(
      "lists those of the ids that exist, newest first, then the greatest id, from the cursor on",
      Effect.gen(function* () {
        const [a, b, c, d] = [submissionOf(1, 10), submissionOf(2, 30), submissionOf(3, 20), submissionOf(4, 20)]
        yield* insert(a, b, c, d, submissionOf(5, 40), submissionOf(3, 50, { tenantId: TenantId.make("other") }))
        const store = yield* SubmissionStore
        const ids = new Set([a, b, c, d].map((one) => one.serviceCallId).concat(callId(99)))
        expect(yield* store.newestOf(acme, ids, { limit: 10 })).toEqual([b, d, c, a])
        expect(yield* store.newestOf(acme, ids, { limit: 2 })).toEqual([b, d])
        expect(yield* store.newestOf(acme, ids, { after: d, limit: 10 })).toEqual([c, a])
        expect(yield* store.newestOf(acme, new Set(), { limit: 10 })).toEqual([])
      })
    )
  })
