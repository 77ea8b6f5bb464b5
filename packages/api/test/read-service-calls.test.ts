import {
  type ServiceCallDetail,
  ServiceCallReader,
  STATUSES
} from "@event-service-agent/orchestration/ports/service-call-reader"
import { EventBusPort } from "@event-service-agent/platform/event-bus"
import { live } from "@event-service-agent/platform/testing"
import { Transaction } from "@event-service-agent/platform/transaction"
import { TenantId } from "@event-service-agent/schemas/ids"
import { fromMillis, toMillis } from "@event-service-agent/schemas/time"
import { Effect, type Layer, Option, Schema } from "effect"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { type Cursor, CursorFromString, encodeCursor } from "../src/cursor.ts"
import { byNewest, type Submission, SubmissionStore } from "../src/ports/submission-store.ts"
import { getServiceCall, listServiceCalls, matches, submitted } from "../src/read-service-calls.ts"
import { acme, callId, submissionOf } from "./submission-store.contract.ts"
import { KnownCalls, layerStores, nameOf } from "./testing.ts"

const test = <A, E>(sentence: string, effect: Effect.Effect<A, E, Layer.Success<typeof layerStores>>) =>
  it(sentence, live(Effect.provide(effect, layerStores)))

/** Accepts submissions that nobody has processed yet. */
const leavePending = Effect.fnUntraced(function* (submissions: ReadonlyArray<Submission>) {
  const bus = yield* EventBusPort
  const store = yield* SubmissionStore
  const transaction = yield* Transaction
  const write = Effect.fnUntraced(function* (submission: Submission) {
    yield* store.insert(submission)
    const { tenantId, serviceCallId, correlationId, acceptedAt, fingerprint: _, ...payload } = submission
    yield* bus.publish([
      {
        type: "SubmitServiceCall",
        tenantId,
        aggregateType: "Submission",
        aggregateId: serviceCallId,
        version: 1,
        timestamp: acceptedAt,
        correlationId,
        causationId: null,
        payload: { ...payload, acceptedAt, sealed: new Uint8Array(), keepRequest: false }
      }
    ])
  })
  yield* transaction.run(Effect.forEach(submissions, write, { discard: true }))
})

const know = Effect.fnUntraced(function* (calls: ReadonlyArray<ServiceCallDetail>) {
  const known = yield* KnownCalls
  for (const call of calls) known.set(nameOf(call), call)
})

const noFilter = { statuses: [], tags: [] }

/** All pages, one after the other. */
const readAll = Effect.fnUntraced(function* (filter: Parameters<typeof listServiceCalls>[1], limit: number) {
  const pages: Array<ReadonlyArray<string>> = []
  let after: Cursor | null = null
  do {
    const page: Effect.Success<ReturnType<typeof listServiceCalls>> = yield* listServiceCalls(acme, filter, {
      limit,
      ...(after === null ? {} : { after })
    })
    pages.push(page.items.map((call) => call.serviceCallId))
    after = page.next
  } while (after !== null)
  return pages
})

describe("listServiceCalls", () => {
  // Times from a small range, so that many are equal.
  const anyCall = fc.record({
    acceptedAt: fc.integer({ min: 0, max: 5 }),
    isPending: fc.boolean(),
    status: fc.constantFrom(...STATUSES),
    tags: fc.subarray(["a", "b"])
  })
  const anyFilter = fc.record({
    statuses: fc.subarray([...STATUSES]),
    tags: fc.subarray(["a", "b"]),
    from: fc.constantFrom(fromMillis(0), fromMillis(2)),
    text: fc.constantFrom("", "CALL 1", "example.com")
  })

  it("shows every call once and in order, page by page, whether processed or not", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(anyCall, { maxLength: 40 }),
        anyFilter,
        fc.integer({ min: 1, max: 7 }),
        (drawn, filter, limit) =>
          live(
            Effect.gen(function* () {
              const calls = drawn.map(({ acceptedAt, tags, isPending, status }, index) => {
                const submission = submissionOf(index, acceptedAt, { tags })
                return {
                  submission,
                  call: { ...submitted(submission), status: isPending ? "Submitted" : status },
                  isPending
                } as const
              })
              yield* leavePending(calls.filter(({ isPending }) => isPending).map(({ submission }) => submission))
              yield* know(calls.filter(({ isPending }) => !isPending).map(({ call }) => call))
              yield* leavePending([submissionOf(99, 3, { tenantId: TenantId.make("other") })])

              const expected = calls
                .map(({ call }) => call)
                .filter((call) => matches(filter, call))
                .sort(byNewest)
              const pages = yield* readAll(filter, limit)
              expect(pages.flat()).toEqual(expected.map((call) => call.serviceCallId))
              expect(pages.slice(0, -1).every((page) => page.length === limit)).toBe(true)
              expect(expected.length === 0 || pages.at(-1)?.length !== 0).toBe(true)
            }).pipe(Effect.provide(layerStores))
          )()
      ),
      { numRuns: 60 }
    )
  })

  test(
    "shows a call once that is processed while the list is read",
    Effect.gen(function* () {
      const submission = submissionOf(1, 1)
      yield* leavePending([submission, submissionOf(2, 2)])
      const reader = yield* ServiceCallReader
      const late = ServiceCallReader.of({
        ...reader,
        list: (...question) =>
          Effect.andThen(know([{ ...submitted(submission), status: "Scheduled" }]), reader.list(...question)).pipe(
            Effect.provideService(KnownCalls, known)
          )
      })
      const known = yield* KnownCalls
      const { items } = yield* Effect.provideService(
        listServiceCalls(acme, noFilter, { limit: 10 }),
        ServiceCallReader,
        late
      )
      expect(items.map(({ serviceCallId, status }) => [serviceCallId, status])).toEqual([
        [callId(2), "Submitted"],
        [callId(1), "Scheduled"]
      ])
    })
  )
})

describe("getServiceCall", () => {
  test(
    "shows what is accepted as Submitted until orchestration knows it, and nothing to another tenant",
    Effect.gen(function* () {
      const submission = submissionOf(1, 1)
      yield* leavePending([submission])
      expect((yield* getServiceCall(submission)).status).toBe("Submitted")
      yield* know([{ ...submitted(submission), status: "Running" }])
      expect((yield* getServiceCall(submission)).status).toBe("Running")
      const missing = yield* Effect.flip(getServiceCall({ ...submission, tenantId: TenantId.make("other") }))
      expect(missing._tag).toBe("ServiceCallNotFound")
    })
  )
})

describe("cursor", () => {
  const decode = Schema.decodeUnknownOption(CursorFromString)

  it("comes back as it went out", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 253_402_300_799_999 }), fc.nat(), (millis, number) => {
        const cursor = { acceptedAt: fromMillis(millis), serviceCallId: callId(number) }
        const text = encodeCursor(cursor)
        expect(text).toMatch(/^[A-Za-z0-9_-]+$/)
        const decoded = Option.getOrThrow(decode(text))
        expect([toMillis(decoded.acceptedAt), decoded.serviceCallId]).toEqual([millis, cursor.serviceCallId])
      })
    )
  })

  it("is refused when it is none", () => {
    for (const text of ["", "x", "****", btoa("1.x"), btoa(`x.${callId(1)}`), btoa(`9999999999999999.${callId(1)}`)]) {
      expect(Option.isNone(decode(text))).toBe(true)
    }
  })
})
