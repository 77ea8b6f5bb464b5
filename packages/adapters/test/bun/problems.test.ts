import { SubmissionStore } from "@event-service-agent/api/ports/submission-store"
import { commandsUnderWay, goodBody, layerStores } from "@event-service-agent/api/testing"
import { Outbox } from "@event-service-agent/platform/outbox"
import { StorageError } from "@event-service-agent/platform/storage-error"
import { live } from "@event-service-agent/platform/testing"
import { Transaction } from "@event-service-agent/platform/transaction"
import { Effect, Layer, Logger, References } from "effect"
import { describe, expect, it } from "vitest"
import type { BunHttpServer } from "../../src/bun/http-server.ts"
import { type Answer, ask, askRaw, CALLS, layerApiServer, layerInMemory, submit } from "./api-server.ts"

type Services = BunHttpServer | Layer.Success<typeof layerStores>
const test = <A, E>(
  sentence: string,
  effect: Effect.Effect<A, E, Services>,
  layer: Layer.Layer<Services, unknown> = layerInMemory
) => it(sentence, live(Effect.provide(effect, layer)))

const post = (body: string | Uint8Array<ArrayBuffer>, headers?: Record<string, string>) =>
  ask(CALLS, { method: "POST", body, headers: { "content-type": "application/json", ...headers } })

/** Checks what all problems have in common. */
const expectProblem = (answer: Answer, status: number, type: string) => {
  expect({ status: answer.status, type: answer.body?.type }).toEqual({
    status,
    type: `urn:event-service-agent:problem:${type}`
  })
  expect(answer.headers.get("content-type")).toBe("application/problem+json")
  expect(answer.body.status).toBe(status)
  expect(answer.body.title).toMatch(/\w/)
  expect(answer.body.correlationId).toMatch(/^[0-9a-f-]{36}$/)
  expect(answer.headers.get("x-correlation-id")).toBe(answer.body.correlationId)
  return answer.body
}
const expectFields = (answer: Answer, place: string, ...pointers: ReadonlyArray<string>) => {
  const { errors } = expectProblem(answer, 422, "invalid-request")
  expect(errors.map((error: { in: string; pointer: string }) => `${error.in} ${error.pointer}`)).toEqual(
    pointers.map((pointer) => `${place} ${pointer}`)
  )
  for (const { detail } of errors) expect(detail).toMatch(/\w/)
}

describe("a submission that is wrong", () => {
  test(
    "gets one entry for each wrong field, and nothing is stored",
    Effect.gen(function* () {
      expectFields(yield* submit({}), "body", "#/name", "#/requestSpec")
      expectFields(yield* submit({ ...goodBody, nmae: "x" }), "body", "#/nmae")
      for (const noObject of [[], null, "x"]) {
        const refused = yield* submit(noObject)
        expectFields(refused, "body", "#")
        expect(refused.body.errors[0].detail).toBe("Expected an object with name and requestSpec")
      }
      const noRequest = yield* submit({ ...goodBody, requestSpec: "x" })
      expectFields(noRequest, "body", "#/requestSpec")
      expect(noRequest.body.errors[0].detail).toBe("Expected an object with method and url")
      const body = { ...goodBody.requestSpec, body: { a: 1 } }
      const answer = yield* submit({ ...goodBody, requestSpec: body })
      expectFields(answer, "body", "#/requestSpec/body")
      expect(answer.body.errors[0].detail).toContain("JSON.stringify")
      expectFields(yield* submit(goodBody, { "idempotency-key": "a b" }), "header", "#/idempotency-key")
      expect(yield* commandsUnderWay).toEqual([])
    })
  )

  test(
    "is told when it is not JSON, empty, or not UTF-8",
    Effect.gen(function* () {
      for (const text of ['{"name":', "", "{'name':1}", "undefined"]) {
        expectProblem(yield* post(text), 400, "malformed-json")
      }
      const { detail } = expectProblem(yield* post(Uint8Array.of(0x22, 0xff, 0x22)), 400, "malformed-json")
      expect(detail).toContain("UTF-8")
    })
  )

  test(
    "is told when it is not sent as application/json",
    Effect.gen(function* () {
      for (const type of ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""]) {
        expectProblem(yield* post(JSON.stringify(goodBody), { "content-type": type }), 415, "not-json")
      }
      const right = yield* post(JSON.stringify(goodBody), { "content-type": "Application/JSON; charset=utf-8" })
      expect(right.status).toBe(202)
    })
  )

  test(
    "is told when it is too large, whether its length is announced or not",
    Effect.gen(function* () {
      const text = JSON.stringify({ ...goodBody, name: "x".repeat(1_048_576) })
      expectProblem(yield* post(text), 413, "content-too-large")
      const chunk = `${(64_000).toString(16)}\r\n${"x".repeat(64_000)}\r\n`
      const answer = yield* askRaw(
        `POST ${CALLS} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n` +
          `Transfer-Encoding: chunked\r\n\r\n${chunk.repeat(17)}0\r\n\r\n`
      )
      expect(answer).toMatch(/^HTTP\/1.1 413 /)
      expect(answer).toContain("content-too-large")
    })
  )

  test(
    "may not be deep, change a prototype, or hold text that cannot be written",
    Effect.gen(function* () {
      const deep = yield* post("[".repeat(100_000) + "]".repeat(100_000))
      expectFields(deep, "body", `#${"/0".repeat(32)}`)
      expectFields(yield* post('{"__proto__":{"name":"x"}}'), "body", "#/__proto__")
      expectFields(
        yield* post('{"requestSpec":{"headers":{"__proto__":"x"}}}'),
        "body",
        "#/requestSpec/headers/__proto__"
      )
      expectFields(yield* post('{"name":"\\ud800","\\ud800":1}'), "body", "#/name", "#/%EF%BF%BD")
      expect(Object.getPrototypeOf({})).not.toHaveProperty("name")
    })
  )

  test(
    "is told of at most 100 wrong fields",
    Effect.gen(function* () {
      const body = Object.fromEntries(Array.from({ length: 5_000 }, (_, index) => [`field${index}`, index]))
      expect((yield* submit(body)).body.errors).toHaveLength(100)
    })
  )
})

describe("an address that is wrong", () => {
  test(
    "is a 404 when there is nothing",
    Effect.gen(function* () {
      for (const path of ["/nothing", "/api", `${CALLS}/a/b/c`, "/api/tenants/%ZZ/service-calls", "/health"]) {
        expectProblem(yield* ask(path), 404, "route-not-found")
      }
      expectProblem(yield* ask("/nothing", { method: "DELETE" }), 404, "route-not-found")
    })
  )

  test(
    "is a 405 with Allow when there is something else",
    Effect.gen(function* () {
      const allowed = Effect.fnUntraced(function* (method: string, path: string) {
        const answer = yield* ask(path, { method })
        expectProblem(answer, 405, "method-not-allowed")
        return answer.headers.get("allow")
      })
      const id = "019a53b1-7c00-7d4e-8a51-0f6c1d2e3b4a"
      expect(yield* allowed("DELETE", CALLS)).toBe("POST, GET, HEAD")
      expect(yield* allowed("OPTIONS", `${CALLS}/${id}/cancel`)).toBe("POST")
      expect(yield* allowed("POST", `${CALLS}/${id}/tags?x=1`)).toBe("PUT")
      expect(yield* allowed("POST", "/health/live")).toBe("GET, HEAD")
      expect(yield* allowed("POST", "/openapi.json")).toBe("GET, HEAD")
    })
  )

  test(
    "is told by its parameters",
    Effect.gen(function* () {
      expectFields(yield* ask("/api/tenants/a%20b/service-calls"), "path", "#/tenantId")
      const query = "limit=0&cursor=zz&from=2026-02-30T00:00:00Z&status=Lost&tag=&surprise=1&q=a&q=b"
      expectFields(
        yield* ask(`${CALLS}?${query}`),
        "query",
        "#/surprise",
        "#/status/0",
        "#/tag/0",
        "#/from",
        "#/q",
        "#/limit",
        "#/cursor"
      )
      for (const limit of ["101", "1.5", "x", "-1", "1&limit=2", ""]) {
        expectFields(yield* ask(`${CALLS}?limit=${limit}`), "query", "#/limit")
      }
      expectFields(yield* ask("/health/live?x=1"), "query", "#/x")
      expectFields(yield* ask(`${CALLS}?__proto__=1`), "query", "#/__proto__")
    })
  )

  test(
    "is the same 404 for a call of nobody, of another tenant, and for what is no id",
    Effect.gen(function* () {
      const { body } = yield* submit(goodBody)
      const foreign = `/api/tenants/other/service-calls/${body.serviceCallId}`
      const unknown = `${CALLS}/019a53b1-7c00-7d4e-8a51-0f6c1d2e3b4a`
      const json = { headers: { "content-type": "application/json" } }
      for (const path of [foreign, unknown, `${CALLS}/statz`]) {
        const answers = [
          yield* ask(path),
          yield* ask(`${path}/cancel`, { method: "POST" }),
          yield* ask(`${path}/tags`, { method: "PUT", body: '{"tags":[]}', ...json })
        ]
        for (const answer of answers) {
          const { correlationId: _, ...rest } = expectProblem(answer, 404, "service-call-not-found")
          expect(Object.keys(rest).sort()).toEqual(["status", "title", "type"])
        }
      }
      expect(yield* commandsUnderWay).toHaveLength(1)
    })
  )
})

describe("a request that may come from a page elsewhere", () => {
  test(
    "is answered only under a name of this server, with any port",
    Effect.gen(function* () {
      for (const host of ["localhost", "LOCALHOST:1", "127.0.0.1:9", "[::1]", "[::1]:3000", "agent.example:80"]) {
        expect((yield* ask("/health/live", { headers: { host } })).status).toBe(200)
      }
      for (const host of ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "localhost:x", "[::2]"]) {
        expectProblem(yield* ask("/health/live", { headers: { host } }), 421, "unexpected-host")
      }
      const twoHosts = "GET /health/live HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\nConnection: close\r\n\r\n"
      expect(yield* askRaw(twoHosts)).toMatch(/^HTTP\/1\.1 4\d\d /)
    })
  )

  test(
    "may not write when its Origin is another site",
    Effect.gen(function* () {
      for (const origin of ["http://evil.example", "null", "http://localhost:1", "https://evil.example"]) {
        expectProblem(yield* submit(goodBody, { origin }), 403, "foreign-origin")
        expect((yield* ask(CALLS, { headers: { origin } })).status).toBe(200)
      }
      expect(yield* commandsUnderWay).toEqual([])
      expect((yield* submit(goodBody, { host: "localhost", origin: "http://localhost" })).status).toBe(202)
    })
  )
})

const refuse = Effect.fail(new StorageError({ operation: "write", cause: "disk full at /secret/place" }))
const layerRefusing = layerApiServer.pipe(
  Layer.provideMerge(
    Layer.mergeAll(
      layerStores,
      Layer.succeed(Transaction, { run: () => refuse, refusal: Effect.succeedNone }),
      Layer.effect(
        Outbox,
        Effect.map(Outbox, (outbox) => ({ ...outbox, deadLetters: () => refuse, unhandled: () => refuse }))
      ).pipe(Layer.provide(Outbox.layerMemory))
    )
  )
)
const layerBroken = layerApiServer.pipe(
  Layer.provideMerge(
    Layer.mergeAll(
      layerStores,
      Layer.effect(
        SubmissionStore,
        Effect.map(SubmissionStore, (store) => ({ ...store, get: () => Effect.die(new Error("secret")) }))
      ).pipe(Layer.provide(SubmissionStore.layerMemory))
    )
  )
)

describe("trouble inside", () => {
  test(
    "of the storage is a 503 that says when to try again",
    Effect.gen(function* () {
      const answers = [yield* submit(goodBody), yield* ask(CALLS), yield* ask("/api/admin/dead-letters")]
      for (const answer of answers) {
        expect(JSON.stringify(expectProblem(answer, 503, "storage-unavailable"))).not.toContain("secret")
        expect(answer.headers.get("retry-after")).toBe("1")
      }
      const ready = yield* ask("/health/ready")
      expect(expectProblem(ready, 503, "not-ready").checks).toEqual({ storage: "failed" })
      expect((yield* ask("/health/live")).status).toBe(200)
    }),
    layerRefusing
  )

  test(
    "that nobody foresaw is a 500 without details",
    Effect.gen(function* () {
      const answer = yield* ask(`${CALLS}/019a53b1-7c00-7d4e-8a51-0f6c1d2e3b4a`)
      expect(JSON.stringify(expectProblem(answer, 500, "internal-error"))).not.toContain("secret")
    }),
    layerBroken
  )
})

/** The lines that a submission leaves in a log of this level. */
const linesOf = (level: "Debug" | "Info") => {
  const lines: Array<Readonly<Record<string, unknown>>> = []
  const logger = Logger.map(Logger.formatStructured, ({ message, annotations }) => {
    if (message === "request") lines.push(annotations)
  })
  const logs = Layer.merge(Logger.layer([logger]), Layer.succeed(References.MinimumLogLevel, level))
  const work = Effect.gen(function* () {
    const { headers } = yield* submit(goodBody)
    yield* submit(goodBody, { origin: "https://elsewhere.example" })
    return { lines, correlationId: headers.get("x-correlation-id") }
  })
  return Effect.runPromise(Effect.scoped(Effect.provide(work, layerInMemory.pipe(Layer.provide(logs)))))
}

describe("the log of a request", () => {
  it("has one line with what was asked and answered, at the level debug", async () => {
    const { lines, correlationId } = await linesOf("Debug")
    const tookMs = expect.any(Number)
    expect(lines).toEqual([
      { correlationId, method: "POST", path: CALLS, status: 202, tookMs },
      { correlationId: expect.any(String), method: "POST", path: CALLS, status: 403, tookMs }
    ])
  })

  it("has none above that level", async () => {
    expect((await linesOf("Info")).lines).toEqual([])
  })
})
