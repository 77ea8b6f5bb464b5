import { CallDetail, CallReference, CallSummary } from "@event-service-agent/api/representations"
import { commandsUnderWay, goodBody, type layerStores, processCommands } from "@event-service-agent/api/testing"
import { Outbox } from "@event-service-agent/platform/outbox"
import { live } from "@event-service-agent/platform/testing"
import { Transaction } from "@event-service-agent/platform/transaction"
import { Effect, type Layer, Schema, type Scope } from "effect"
import { describe, expect, it } from "vitest"
import type { BunHttpServer } from "../../src/bun/http-server.ts"
import { type Answer, ask, CALLS, layerInMemory, send, submit } from "./api-server.ts"

type Services = BunHttpServer | Layer.Success<typeof layerStores> | Scope.Scope
const test = <A, E>(sentence: string, effect: Effect.Effect<A, E, Services>) =>
  it(sentence, live(Effect.provide(effect, layerInMemory)))

const strict = { onExcessProperty: "error" } as const
const decodeReference = Schema.decodeUnknownSync(CallReference, strict)
const decodeDetail = Schema.decodeUnknownSync(CallDetail, strict)
const decodeList = Schema.decodeUnknownSync(
  Schema.Struct({ items: Schema.Array(CallSummary), next: Schema.NullOr(Schema.String) }),
  strict
)

describe("submit", () => {
  test(
    "answers 202 with the address of the call, which shows it at once, before anyone has processed it",
    Effect.gen(function* () {
      const answer = yield* submit(goodBody)
      expect(answer.status).toBe(202)
      const { serviceCallId, status, links } = decodeReference(answer.body)
      expect(status).toBe("Submitted")
      expect(answer.headers.get("location")).toBe(`${CALLS}/${serviceCallId}`)
      expect(links.self).toBe(`${CALLS}/${serviceCallId}`)

      const shown = yield* ask(links.self)
      expect(shown.status).toBe(200)
      const detail = decodeDetail(shown.body)
      expect(detail).toMatchObject({
        serviceCallId,
        status: "Submitted",
        name: goodBody.name,
        problems: [],
        attempt: null
      })
      expect(detail.correlationId).toBe(String(answer.headers.get("x-correlation-id")))
      expect(JSON.stringify(shown.body)).not.toContain("secret")
      const list = decodeList((yield* ask(CALLS)).body)
      expect(list.items.map((call) => call.serviceCallId)).toEqual([serviceCallId])
    })
  )

  test(
    "makes one call of 64 requests with one key at the same time, and replays it with its present state",
    Effect.gen(function* () {
      const key = { "idempotency-key": "order-4711" }
      const answers = yield* Effect.all(
        Array.from({ length: 64 }, () => submit(goodBody, key)),
        { concurrency: "unbounded" }
      )
      expect(new Set(answers.map((answer) => answer.body.serviceCallId)).size).toBe(1)
      const isReplay = (answer: Answer) => answer.headers.get("idempotency-replayed") === "true"
      expect(answers.filter(isReplay).map((answer) => answer.status)).toEqual(Array(63).fill(200))
      expect(answers.filter((answer) => !isReplay(answer)).map((answer) => answer.status)).toEqual([202])
      expect(yield* commandsUnderWay).toHaveLength(1)

      yield* processCommands
      const { body } = yield* submit(goodBody, key)
      const tagged = yield* send("PUT", body.links.tags, { tags: [] })
      expect(tagged.status).toBe(200)
      expect((yield* submit({ ...goodBody, idempotencyKey: "order-4711" })).body.status).toBe("Scheduled")
      const other = yield* submit({ ...goodBody, name: "another" }, key)
      expect({ status: other.status, id: other.body.serviceCallId }).toEqual({ status: 409, id: body.serviceCallId })
    })
  )
})

describe("list", () => {
  test(
    "goes on from page to page by the Link header, with the same filters",
    Effect.gen(function* () {
      for (let number = 0; number < 7; number++) yield* submit({ ...goodBody, name: `call ${number}`, tags: ["a b"] })
      yield* submit({ ...goodBody, tags: [] })
      const names: Array<string> = []
      let path: string | undefined = `${CALLS}?tag=a%20b&status=Submitted&status=Scheduled&q=CALL&limit=3`
      let pages = 0
      while (path !== undefined) {
        const answer: Answer = yield* ask(path)
        expect(answer.status).toBe(200)
        const { items, next } = decodeList(answer.body)
        names.push(...items.map((call) => call.name))
        const link: string = answer.headers.get("link") ?? ""
        path = /^<(.+)>; rel="next"$/.exec(link)?.[1]
        expect(path === undefined).toBe(next === null)
        pages++
      }
      expect(names).toEqual([6, 5, 4, 3, 2, 1, 0].map((number) => `call ${number}`))
      expect(pages).toBe(3)
    })
  )
})

describe("cancel and tags", () => {
  test(
    "answer with the call as it is once orchestration has decided",
    Effect.gen(function* () {
      yield* processCommands
      const { links } = decodeReference((yield* submit(goodBody)).body)
      const tagged = yield* send("PUT", links.tags, { tags: ["star"] })
      expect({ status: tagged.status, tags: decodeDetail(tagged.body).tags }).toEqual({ status: 200, tags: ["star"] })
      const cancelled = yield* send("POST", links.cancel, { reason: "no longer needed" })
      expect(cancelled.status).toBe(200)
      expect(decodeDetail(cancelled.body)).toMatchObject({
        status: "Cancelled",
        outcome: { type: "Cancelled", reason: "no longer needed" }
      })
      expect((yield* ask(links.cancel, { method: "POST" })).status).toBe(200)
      expect((yield* send("POST", links.cancel, { reason: 5 })).status).toBe(422)
      expect((yield* send("PUT", links.tags, { tags: ["a", "a"] })).status).toBe(422)
    })
  )
})

describe("dead letters", () => {
  test(
    "show in the list and in their call, and can be tried again or given up",
    Effect.gen(function* () {
      const { serviceCallId, links } = decodeReference((yield* submit(goodBody)).body)
      const outbox = yield* Outbox
      const transaction = yield* Transaction
      const bury = { consumer: "orchestration", seq: 1, attempts: 10, error: "Error: poison", diedAt: 5 } as const
      yield* transaction.run(outbox.bury(bury))

      const problem = {
        consumer: "orchestration",
        seq: 1,
        messageType: "SubmitServiceCall",
        attempts: 10,
        error: "Error: poison",
        diedAt: "1970-01-01T00:00:00.005Z"
      }
      expect((yield* ask(links.self)).body.problems).toEqual([problem])
      const { body } = yield* ask("/api/admin/dead-letters")
      expect(body).toEqual({ items: [{ tenantId: "acme", serviceCallId, ...problem }] })

      const letter = "/api/admin/dead-letters/orchestration/1"
      expect((yield* ask("/api/admin/dead-letters/timer/1", { method: "DELETE" })).status).toBe(404)
      expect((yield* ask(`${letter}/replay`, { method: "POST" })).status).toBe(204)
      expect((yield* ask(`${letter}/replay`, { method: "POST" })).status).toBe(404)
      expect(yield* commandsUnderWay).toHaveLength(1)

      yield* transaction.run(outbox.bury(bury))
      expect((yield* ask(letter, { method: "DELETE" })).status).toBe(204)
      expect((yield* ask("/api/admin/dead-letters")).body).toEqual({ items: [] })
    })
  )
})

describe("what the server says about itself", () => {
  test(
    "is alive, ready, and documented",
    Effect.gen(function* () {
      expect((yield* ask("/health/live")).body).toEqual({ status: "ok" })
      expect((yield* ask("/health/ready")).body).toEqual({ status: "ok", checks: { storage: "ok", bus: "ok" } })
      const document = yield* ask("/openapi.json")
      expect(document.body.openapi).toBe("3.1.0")
      expect(document.headers.get("x-correlation-id")).toMatch(/^[0-9a-f-]{36}$/)
      const docs = yield* ask("/docs")
      expect(docs.headers.get("content-type")).toContain("text/html")
      const head = yield* ask("/health/live", { method: "HEAD" })
      expect({ status: head.status, body: head.body }).toEqual({ status: 200, body: null })
    })
  )
})
