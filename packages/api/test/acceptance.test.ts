import { EgressPolicy } from "@event-service-agent/platform/egress-policy"
import { RequestVault } from "@event-service-agent/platform/request-vault"
import { StorageError } from "@event-service-agent/platform/storage-error"
import { onTestClock } from "@event-service-agent/platform/testing"
import { Transaction } from "@event-service-agent/platform/transaction"
import { CorrelationId, ServiceCallId, TenantId } from "@event-service-agent/schemas/ids"
import { toMillis } from "@event-service-agent/schemas/time"
import { Effect, type Layer, Option, Result, Schema } from "effect"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { canonicalJson, idFromKey, makeAcceptSubmission } from "../src/acceptance.ts"
import { SubmissionStore } from "../src/ports/submission-store.ts"
import { acme } from "./submission-store.contract.ts"
import { commandsUnderWay, goodBody, layerStores } from "./testing.ts"

const correlationId = CorrelationId.make("00000000-0000-7000-8000-000000000000")
const NOON = Date.UTC(2027, 0, 1, 12)

type Services = Layer.Success<typeof layerStores>
const test = <A, E>(sentence: string, effect: Effect.Effect<A, E, Services>) =>
  it(sentence, onTestClock(Effect.andThen(TestClock.setTime(NOON), effect).pipe(Effect.provide(layerStores))))

const acceptFrom = (tenantId: TenantId, body: unknown, headerKey?: string) =>
  Effect.flatMap(makeAcceptSubmission(), ({ accept }) => accept(tenantId, { body, headerKey }, correlationId))
const accept = (body: unknown, headerKey?: string) => acceptFrom(acme, body, headerKey)

/** What is wrong with the body, field by field, and that nothing of it was stored. */
const refusal = Effect.fnUntraced(function* (body: unknown, headerKey?: string) {
  const before = yield* commandsUnderWay
  const error = yield* Effect.flip(accept(body, headerKey))
  expect(yield* commandsUnderWay).toEqual(before)
  return error._tag === "InvalidRequest" ? error.errors.map(({ pointer }) => pointer) : error._tag
})

const withRequest = (requestSpec: object) => ({ ...goodBody, requestSpec: { ...goodBody.requestSpec, ...requestSpec } })

describe("an accepted submission", () => {
  test(
    "stores the submission and sends the command with the request sealed",
    Effect.gen(function* () {
      const { submission, isReplay } = yield* accept(goodBody)
      expect(isReplay).toBe(false)
      expect(toMillis(submission.dueAt)).toBe(NOON)
      const store = yield* SubmissionStore
      expect(yield* store.get(submission)).toEqual(Option.some(submission))

      const [command, ...others] = yield* commandsUnderWay
      expect(others).toEqual([])
      if (command?.type !== "SubmitServiceCall" || command.payload.sealed === null) throw new Error("no command")
      expect(command.aggregateId).toBe(submission.serviceCallId)
      expect(JSON.stringify({ ...command.payload, sealed: "" })).not.toContain("secret")
      const vault = yield* RequestVault
      expect(yield* vault.open(submission, command.payload.sealed)).toEqual(goodBody.requestSpec)
    })
  )

  test(
    "stores the URL in its normal form",
    Effect.gen(function* () {
      const { submission } = yield* accept(withRequest({ url: "HTTPS://EXAMPLE.com:443/a/../b" }))
      expect(submission.request.url).toBe("https://example.com/b")
    })
  )

  test(
    "makes one call of 64 submissions with one key at the same time",
    Effect.gen(function* () {
      const accepted = yield* Effect.all(
        Array.from({ length: 64 }, () => accept(goodBody, "key")),
        { concurrency: "unbounded" }
      )
      expect(new Set(accepted.map(({ submission }) => submission.serviceCallId)).size).toBe(1)
      expect(accepted.filter(({ isReplay }) => !isReplay)).toHaveLength(1)
      expect(yield* commandsUnderWay).toHaveLength(1)
    })
  )

  test(
    "replays the same content, in whatever order its names are, and refuses other content",
    Effect.gen(function* () {
      const first = yield* accept(goodBody, "key")
      const { name, ...rest } = goodBody
      const again = yield* accept({ ...rest, idempotencyKey: "key", name })
      expect(again).toEqual({ submission: first.submission, isReplay: true })
      expect(yield* refusal({ ...goodBody, name: "another" }, "key")).toBe("IdempotencyKeyReused")
      expect((yield* acceptFrom(TenantId.make("other"), goodBody, "key")).isReplay).toBe(false)
    })
  )

  test(
    "replays a submission whose due time has passed since, or whose target was closed since",
    Effect.gen(function* () {
      const body = { ...goodBody, dueAt: "2027-01-01T12:01:00Z" }
      yield* accept(body, "key")
      yield* TestClock.adjust("1 hour")
      expect((yield* accept(body, "key")).isReplay).toBe(true)
      expect(yield* refusal(body, "another")).toEqual(["#/dueAt"])
      expect(yield* refusal({ ...body, name: "another" }, "key")).toEqual(["#/dueAt"])
      const closed = EgressPolicy.of({ judgeUrl: () => Result.fail("closed"), mayReach: () => false })
      const replay = yield* Effect.provideService(accept(body, "key"), EgressPolicy, closed)
      expect(replay.isReplay).toBe(true)
    })
  )

  test(
    "takes a due time of up to 5 minutes ago as now, and refuses an older one",
    Effect.gen(function* () {
      const dueAt = (text: string) =>
        accept({ ...goodBody, dueAt: text }).pipe(Effect.map(({ submission }) => toMillis(submission.dueAt)))
      expect(yield* dueAt("2027-01-01T11:55:00Z")).toBe(NOON)
      expect(yield* dueAt("2027-01-01T13:00:00+01:00")).toBe(NOON)
      expect(yield* dueAt("2027-01-01T12:00:00.001Z")).toBe(NOON + 1)
      expect(yield* dueAt("9999-12-31T23:59:59.999Z")).toBe(Date.UTC(9999, 11, 31, 23, 59, 59, 999))
      for (const wrong of [
        "2027-01-01T11:54:59.999Z",
        "2026-02-30T00:00:00Z",
        "2027-01-01T12:00:00",
        "9999-12-31T23:59:59-01:00",
        5
      ]) {
        expect(yield* refusal({ ...goodBody, dueAt: wrong })).toEqual(["#/dueAt"])
      }
    })
  )

  test(
    "lets a request be sent twice that its method or the one who submits it declares idempotent, and no other",
    Effect.gen(function* () {
      const resend = (method: string, more: object = {}) => ({
        ...withRequest({ method, ...(method === "GET" || method === "HEAD" ? { body: "" } : {}) }),
        onUnknown: "resend",
        ...more
      })
      for (const method of ["GET", "HEAD", "PUT", "DELETE"]) {
        expect((yield* accept(resend(method))).submission.onUnknown).toBe("resend")
      }
      for (const method of ["POST", "PATCH"]) {
        expect(yield* refusal(resend(method))).toEqual(["#/onUnknown"])
        expect(yield* refusal(resend(method, { targetIsIdempotent: false }))).toEqual(["#/onUnknown"])
        expect((yield* accept(resend(method, { targetIsIdempotent: true }))).submission.onUnknown).toBe("resend")
        expect((yield* accept({ ...resend(method), onUnknown: "fail" })).submission.onUnknown).toBe("fail")
      }
    })
  )

  test(
    "refuses a name that it does not know wherever it may be, in a body that is right but for it",
    Effect.gen(function* () {
      expect(yield* refusal({ ...goodBody, surprise: 1 })).toEqual(["#/surprise"])
      expect(yield* refusal(withRequest({ surprise: 1 }))).toEqual(["#/requestSpec/surprise"])
      const { name: _, ...nameless } = goodBody
      expect(yield* refusal({ ...nameless, surprise: 1 })).toEqual(["#/surprise", "#/name"])
      const everything = {
        ...goodBody,
        dueAt: "2027-01-01T13:00:00Z",
        timeoutMs: 1_000,
        onUnknown: "resend",
        targetIsIdempotent: true,
        keepRequest: true,
        idempotencyKey: "key"
      }
      expect(yield* refusal({ ...everything, surprise: 1 })).toEqual(["#/surprise"])
      expect((yield* accept(everything)).isReplay).toBe(false)
    })
  )

  test(
    "tells everything that is wrong at once",
    Effect.gen(function* () {
      const body = {
        name: "",
        tags: ["a", "a"],
        timeoutMs: 0.5,
        dueAt: "2020-01-01T00:00:00Z",
        onUnknown: "sometimes",
        surprise: true,
        requestSpec: {
          method: "GET",
          url: "http://localhost/",
          headers: { Host: "x", "a/b": "c\n" },
          body: "x",
          more: 1
        }
      }
      expect([...(yield* refusal(body, "has blank"))].sort()).toEqual([
        "#/dueAt",
        "#/idempotency-key",
        "#/name",
        "#/onUnknown",
        "#/requestSpec/body",
        "#/requestSpec/headers/Host",
        "#/requestSpec/headers/a~1b",
        "#/requestSpec/more",
        "#/requestSpec/url",
        "#/surprise",
        "#/tags",
        "#/timeoutMs"
      ])
      expect(yield* refusal({})).toEqual(["#/name", "#/requestSpec"])
      for (const noObject of [null, [], "text", 5, undefined]) expect(yield* refusal(noObject)).toEqual(["#"])
    })
  )

  test(
    "refuses what cannot be sent",
    Effect.gen(function* () {
      for (const url of [
        "",
        "/path",
        "ftp://example.com/",
        "https://user:pw@example.com/",
        "http://169.254.169.254/",
        "file:///etc/passwd"
      ]) {
        expect(yield* refusal(withRequest({ url }))).toEqual(["#/requestSpec/url"])
      }
      expect(yield* refusal(withRequest({ body: { a: 1 } }))).toEqual(["#/requestSpec/body"])
      expect(yield* refusal(withRequest({ body: "x".repeat(786_433) }))).toEqual(["#/requestSpec/body"])
      expect(yield* refusal(withRequest({ method: "HEAD" }))).toEqual(["#/requestSpec/body"])
      expect(yield* refusal(withRequest({ method: "TRACE" }))).toEqual(["#/requestSpec/method"])
      yield* accept(withRequest({ body: "ü".repeat(393_216) }))
    })
  )

  test(
    "wants one key of 1 to 255 visible characters, in the header or in the body",
    Effect.gen(function* () {
      for (const key of ["", " ", "a b", "a, b", "ü", "x".repeat(256)]) {
        expect(yield* refusal(goodBody, key)).toEqual(["#/idempotency-key"])
        expect(yield* refusal({ ...goodBody, idempotencyKey: key })).toEqual(["#/idempotencyKey"])
      }
      expect(yield* refusal({ ...goodBody, idempotencyKey: "a" }, "b")).toEqual(["#/idempotency-key"])
      const both = yield* accept({ ...goodBody, idempotencyKey: "x".repeat(255) }, "x".repeat(255))
      expect(both.submission.serviceCallId).toBe(idFromKey(acme, "x".repeat(255)))
    })
  )

  test(
    "says so when the storage does not take it, and keeps nothing",
    Effect.gen(function* () {
      const full = Transaction.of({
        run: () => Effect.fail(new StorageError({ operation: "commit", cause: "disk full" })),
        refusal: Effect.succeedNone
      })
      expect((yield* Effect.provideService(accept(goodBody, "key"), Transaction, full).pipe(Effect.flip))._tag).toBe(
        "StorageError"
      )
      expect(yield* commandsUnderWay).toEqual([])
      expect((yield* accept(goodBody, "key")).isReplay).toBe(false)
    })
  )
})

describe("idFromKey", () => {
  it("derives the same UUIDv8 everywhere", () => {
    // sha256 of "acme\norder-4711", with version and variant set.
    expect(idFromKey(acme, "order-4711")).toBe("da11409c-4bd9-8721-9899-53f83656797e")
  })

  it("is well-formed, and differs for other tenants and keys", () => {
    const tenant = fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/).map((text) => TenantId.make(text))
    const key = fc.stringMatching(/^[!-~]{1,255}$/)
    fc.assert(
      fc.property(tenant, key, tenant, key, (tenantA, keyA, tenantB, keyB) => {
        const id = idFromKey(tenantA, keyA)
        expect(Schema.is(ServiceCallId)(id)).toBe(true)
        expect(id[14]).toBe("8")
        expect(id === idFromKey(tenantB, keyB)).toBe(tenantA === tenantB && keyA === keyB)
      })
    )
  })
})

describe("canonicalJson", () => {
  it("does not depend on the order of names, and leaves only the body's own key out", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue(), { noNullPrototype: true }), (body) => {
        const { idempotencyKey: _, ...rest } = body
        const turned = Object.fromEntries(Object.entries(rest).reverse())
        expect(canonicalJson({ ...turned, idempotencyKey: "other" })).toBe(canonicalJson(rest))
        expect(JSON.parse(canonicalJson(rest))).toEqual(JSON.parse(JSON.stringify(rest)))
      })
    )
    expect(canonicalJson({ a: { idempotencyKey: 1 } })).toBe('{"a":{"idempotencyKey":1}}')
  })

  it("stays as it is: other text would make conflicts of what was accepted before", () => {
    const body = { b: [{ z: 1, y: null }, "x"], a: { "10": 1, "9": 2, ä: "ü", A: "\n" }, idempotencyKey: "key" }
    expect(canonicalJson(body)).toBe('{"a":{"9":2,"10":1,"A":"\\n","ä":"ü"},"b":[{"y":null,"z":1},"x"]}')
  })
})
