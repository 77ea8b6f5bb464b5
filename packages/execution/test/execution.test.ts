import { HttpClientPort, SendFailed } from "@event-service-agent/platform/http-client-port"
import type { Transaction } from "@event-service-agent/platform/transaction"
import type { RequestSpec } from "@event-service-agent/schemas/http-request"
import { fromMillis } from "@event-service-agent/schemas/time"
import { Effect, Exit } from "effect"
import { TestClock } from "effect/testing"
import { describe, expect, it } from "vitest"
import type { AttemptStore } from "../src/ports/attempt-store.ts"
import {
  CORRELATION_ID,
  callKey,
  type LogLines,
  listen,
  logTo,
  OK,
  order,
  REQUEST,
  recorded,
  start,
  TIMEOUT_MS,
  test
} from "./fixtures.ts"

const KEY = callKey(1)
const scripted = HttpClientPort.layerScripted

describe("a call", () => {
  it(
    "is started once and succeeds once",
    test(
      Effect.gen(function* () {
        const { heard, next } = yield* listen
        const headers = [
          ["Content-Type", "text/plain"],
          ["Set-Cookie", "session=1"]
        ] as const
        const bodyStart = new TextEncoder().encode("grüezi")
        yield* start(scripted(() => Effect.succeed({ status: 201, headers, bodyStart })))
        yield* order(KEY)
        const started = yield* next
        const succeeded = yield* next
        yield* TestClock.adjust("1 minute")

        expect(heard).toHaveLength(2)
        const envelope = {
          tenantId: KEY.tenantId,
          aggregateType: "ExecutionAttempt",
          aggregateId: KEY.serviceCallId,
          correlationId: CORRELATION_ID,
          timestamp: fromMillis(0)
        }
        expect(started).toMatchObject({ ...envelope, type: "ExecutionStarted", version: 1 })
        expect(started.payload).toEqual({ attempt: 1, startedAt: fromMillis(0) })
        expect(succeeded).toMatchObject({ ...envelope, type: "ExecutionSucceeded", version: 2 })
        expect(succeeded.payload).toEqual({
          attempt: 1,
          sentAt: fromMillis(0),
          finishedAt: fromMillis(0),
          responseMeta: {
            status: 201,
            headers: { "content-type": "text/plain", "set-cookie": "[redacted]" },
            bodySnippet: "grüezi",
            bodyBytes: 7,
            latencyMs: 0
          }
        })
        const { attempt, outcome } = yield* recorded(KEY)
        expect([started.causationId, succeeded.causationId]).toEqual([attempt.causationId, attempt.causationId])
        expect(outcome).toMatchObject({ _tag: "Succeeded" })
      })
    )
  )

  it(
    "carries its id as the idempotency key, unless the caller set one in whatever case",
    test(
      Effect.gen(function* () {
        const sent: Array<RequestSpec["headers"]> = []
        const { next } = yield* listen
        yield* start(scripted(({ headers }) => Effect.sync(() => void sent.push(headers)).pipe(Effect.as(OK))))
        for (const headers of [{ accept: "*/*" }, { "idempotency-KEY": "mine" }]) {
          yield* order(callKey(sent.length), { request: { ...REQUEST, headers } })
          yield* next
          yield* next
        }
        expect(sent).toEqual([
          { accept: "*/*", "Idempotency-Key": callKey(0).serviceCallId },
          { "idempotency-KEY": "mine" }
        ])
      })
    )
  )

  it(
    "that is ordered several times is sent once",
    test(
      Effect.gen(function* () {
        let sends = 0
        const { heard, next } = yield* listen
        yield* start(scripted(() => Effect.sync(() => ++sends).pipe(Effect.as(OK))))
        yield* Effect.all([order(KEY), order(KEY)], { concurrency: 2 })
        yield* next
        yield* next
        yield* order(KEY)
        yield* TestClock.adjust("1 minute")
        expect(sends).toBe(1)
        expect(heard.map(({ type }) => type)).toEqual(["ExecutionStarted", "ExecutionSucceeded"])
      })
    )
  )

  it("is claimed durably before it is sent", () => {
    const log: Array<string> = []
    return test(
      Effect.gen(function* () {
        const context = yield* Effect.context<AttemptStore | Transaction>()
        const { next } = yield* listen
        const script = Effect.gen(function* () {
          log.push("send")
          const { attempt, outcome } = yield* recorded(KEY)
          log.push(`attempt ${attempt.number}, outcome ${outcome}`)
          return OK
        })
        yield* start(scripted(() => Effect.orDie(Effect.provideContext(script, context))))
        yield* TestClock.adjust(1)
        log.length = 0
        yield* order(KEY)
        yield* next
        yield* next
        // The order has the claim in it; later ones belong to the outcome.
        expect(log.slice(0, 2)).toEqual(["commit", "send"])
        expect(log).toContain("attempt 1, outcome null")
      }),
      () => log.push("commit")
    )()
  })

  it("is not sent while its claim does not become durable, and once when it does", () => {
    let commits = Number.NEGATIVE_INFINITY
    let sends = 0
    return test(
      Effect.gen(function* () {
        const { heard, next } = yield* listen
        yield* start(scripted(() => Effect.sync(() => ++sends).pipe(Effect.as(OK))))
        yield* TestClock.adjust(1)
        commits = 0
        expect(Exit.isFailure(yield* Effect.exit(order(KEY)))).toBe(true)
        yield* TestClock.adjust("1 minute")
        expect([sends, heard.length]).toEqual([0, 0])
        yield* order(KEY)
        yield* next
        yield* next
        expect(sends).toBe(1)
      }),
      () => {
        if (++commits === 1) throw new Error("disk I/O error")
      }
    )()
  })

  it("writes log lines that name it and hold nothing of its request or answer", () => {
    const log: LogLines = []
    return test(
      Effect.gen(function* () {
        const { next } = yield* listen
        const bodyStart = new TextEncoder().encode("HIDDEN")
        yield* start(scripted(() => Effect.succeed({ status: 500, headers: [["x-a", "HIDDEN"]], bodyStart })))
        yield* order(KEY, { request: { ...REQUEST, headers: { accept: "HIDDEN" }, body: "HIDDEN" } })
        yield* next
        yield* next
        const about = { ...KEY, correlationId: CORRELATION_ID, attempt: 1 }
        expect(log).toContainEqual([["claim attempt"], about])
        expect(log).toContainEqual([["send attempt"], about])
        expect(JSON.stringify(log)).not.toContain("HIDDEN")
      }).pipe(logTo(log))
    )()
  })
})

describe("a call fails", () => {
  const refused = new SendFailed({
    kind: "ConnectionFailed",
    sent: "no",
    message: "The target refused the connection",
    sentAt: null
  })
  const answer = (status: number) => Effect.succeed({ ...OK, status })

  for (const [name, script, payload] of [
    ["as HttpStatus on a 500", answer(500), { kind: "HttpStatus", sent: "yes", status: 500, bodySnippet: "" }],
    [
      "as HttpStatus on a redirect, which is not followed",
      answer(301),
      { kind: "HttpStatus", sent: "yes", status: 301 }
    ],
    [
      "as the client says, for example when the connection is refused",
      Effect.fail(refused),
      { kind: "ConnectionFailed", sent: "no", message: "The target refused the connection" }
    ],
    ["as Timeout when the target takes too long", Effect.never, { kind: "Timeout", sent: "maybe" }]
  ] as const) {
    it(
      name,
      test(
        Effect.gen(function* () {
          let sends = 0
          const { heard, next } = yield* listen
          yield* start(
            scripted(() =>
              Effect.andThen(
                Effect.sync(() => ++sends),
                script
              )
            )
          )
          yield* order(KEY)
          yield* next
          yield* TestClock.adjust(TIMEOUT_MS)
          const finishedAt = fromMillis(payload.kind === "Timeout" ? TIMEOUT_MS : 0)
          const sentAt = payload.sent === "no" ? null : fromMillis(0)
          expect(yield* next).toMatchObject({
            type: "ExecutionFailed",
            version: 2,
            payload: { attempt: 1, sentAt, finishedAt, errorMeta: payload }
          })
          yield* TestClock.adjust("1 minute")
          expect([sends, heard.length]).toEqual([1, 2])
        })
      )
    )
  }

  for (const [name, sealed, reason] of [
    ["was sealed with another key", new Uint8Array(64), "because it was sealed with another key"],
    ["was erased", null, "because it was erased"]
  ] as const) {
    it(
      `as RequestUnreadable, unsent, when its request ${name}`,
      test(
        Effect.gen(function* () {
          const { next } = yield* listen
          yield* start(scripted(() => Effect.die("must not be sent")))
          yield* order(KEY, { sealed })
          yield* next
          const failed = yield* next
          expect(failed).toMatchObject({
            type: "ExecutionFailed",
            payload: { sentAt: null, errorMeta: { kind: "RequestUnreadable", sent: "no" } }
          })
          expect(JSON.stringify(failed.payload)).toContain(reason)
        })
      )
    )
  }
})
