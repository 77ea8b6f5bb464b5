import { HttpClientPort } from "@event-service-agent/platform/http-client-port"
import type { RequestSpec } from "@event-service-agent/schemas/http-request"
import { Effect } from "effect"
import { expect } from "vitest"

/** Long enough for whatever is expected to end on its own. */
export const ENOUGH_MS = 10_000
/** For targets that would never come to an end. */
export const SHORT_MS = 1_000

export const send = Effect.fnUntraced(function* (request: RequestSpec, timeoutMs = ENOUGH_MS) {
  const http = yield* HttpClientPort
  return yield* http.send(request, { timeoutMs })
})

/** The failure of a request that has to fail. No message of any may tell an address. */
export const failureOf = Effect.fnUntraced(function* (request: RequestSpec, timeoutMs = ENOUGH_MS) {
  const failure = yield* Effect.flip(send(request, timeoutMs))
  expect(failure.message).not.toMatch(/127\.0\.0\.1|::1|10\.|secret/)
  expect(failure.sentAt === null).toBe(failure.sent === "no")
  return failure
})

export const get = (url: string): RequestSpec => ({ method: "GET", url })
