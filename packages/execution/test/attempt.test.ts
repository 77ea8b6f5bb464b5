import type { Answer } from "@event-service-agent/platform/http-client-port"
import type { RequestSpec } from "@event-service-agent/schemas/http-request"
import { MessageId } from "@event-service-agent/schemas/ids"
import { BODY_SNIPPET_BYTES_MAX } from "@event-service-agent/schemas/outcome"
import { fromMillis } from "@event-service-agent/schemas/time"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { ATTEMPT_GRACE_MS, answered, type OpenAttempt, sendTimeoutMs } from "../src/domain/attempt.ts"
import { CORRELATION_ID, callKey } from "./fixtures.ts"

const REQUEST: RequestSpec = { method: "GET", url: "https://example.com/" }

const answer = (fields: Partial<Answer>): Answer => ({
  sentAt: 10,
  latencyMs: 5,
  status: 200,
  headers: [],
  bodyStart: new Uint8Array(),
  bodyBytes: fields.bodyStart?.byteLength ?? 0,
  ...fields
})

const metaOf = (fields: Partial<Answer>) => {
  const outcome = answered(answer(fields), REQUEST, fromMillis(15))
  return outcome._tag === "Succeeded" ? outcome.responseMeta : outcome.errorMeta
}

/** The client hands over the start of a body, cut at the limit wherever that falls. */
const snippetOf = (body: Uint8Array) =>
  metaOf({ bodyStart: body.slice(0, BODY_SNIPPET_BYTES_MAX), bodyBytes: body.byteLength }).bodySnippet ?? ""

describe("a send", () => {
  it("may take the call's timeout, and never outlasts the lease of its attempt", () => {
    const millis = fc.integer({ min: 1, max: 120_000 })
    fc.assert(
      fc.property(millis, fc.integer({ min: 0, max: 200_000 }), (timeoutMs, elapsedMs) => {
        const leaseMs = timeoutMs + ATTEMPT_GRACE_MS
        const attempt: OpenAttempt = {
          key: callKey(1),
          number: 1,
          processId: "now",
          isRemote: false,
          startedAt: fromMillis(7),
          deadlineAt: fromMillis(7 + leaseMs),
          correlationId: CORRELATION_ID,
          causationId: MessageId.make(CORRELATION_ID),
          sealedForResend: null
        }
        const mayTakeMs = sendTimeoutMs(attempt, elapsedMs)
        expect(mayTakeMs).toBe(elapsedMs <= ATTEMPT_GRACE_MS ? timeoutMs : leaseMs - elapsedMs)
      })
    )
  })
})

describe("an answer", () => {
  it("is a success from 200 to 299, and otherwise a failure that was sent", () => {
    fc.assert(
      fc.property(fc.integer({ min: 100, max: 999 }), (status) => {
        const outcome = answered(answer({ status }), REQUEST, fromMillis(15))
        expect(outcome.sentAt).toEqual(fromMillis(10))
        expect(outcome.finishedAt).toEqual(fromMillis(15))
        if (outcome._tag === "Succeeded")
          return status >= 200 && status <= 299 && outcome.responseMeta.status === status
        expect(outcome.errorMeta).toMatchObject({ kind: "HttpStatus", sent: "yes", status, latencyMs: 5 })
        expect(outcome.errorMeta.message).toContain(String(status))
        return status < 200 || status > 299
      })
    )
  })

  it("says of a redirect that it is not followed", () => {
    expect(metaOf({ status: 302 })).toMatchObject({
      message: "The target answered 302, a redirect. Redirects are not followed: submit the final URL"
    })
  })

  it("shows harmless headers and masks the rest, after a failure too", () => {
    const headers = [
      ["Server", "nginx"],
      ["Set-Cookie", "a=b"]
    ] as const
    const redacted = { server: "nginx", "set-cookie": "[redacted]" }
    expect(metaOf({ headers }).headers).toEqual(redacted)
    expect(metaOf({ headers, status: 500 }).headers).toEqual(redacted)
  })
})

describe("the body snippet", () => {
  it("is the longest run of whole characters within the limit", () => {
    const text = fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 })
    fc.assert(
      fc.property(text, fc.integer({ min: 0, max: 40 }), (unit, before) => {
        const body = "x".repeat(before) + unit.repeat(BODY_SNIPPET_BYTES_MAX)
        const snippet = snippetOf(new TextEncoder().encode(body))
        expect(body.startsWith(snippet)).toBe(true)
        const bytes = new TextEncoder().encode(snippet).byteLength
        expect(bytes).toBeLessThanOrEqual(BODY_SNIPPET_BYTES_MAX)
        expect(bytes).toBeGreaterThan(BODY_SNIPPET_BYTES_MAX - 4)
      })
    )
  })

  it("has U+FFFD for what is not UTF-8, and for a character that the target itself left unfinished", () => {
    expect(snippetOf(new Uint8Array([0x61, 0xff, 0x62]))).toBe("a\ufffdb")
    expect(snippetOf(new Uint8Array([0x61, 0xe2, 0x82]))).toBe("a\ufffd")
  })

  it("never exceeds the limit, even if the client hands over more", () => {
    expect(metaOf({ bodyStart: new Uint8Array(BODY_SNIPPET_BYTES_MAX + 1).fill(0x61) }).bodySnippet).toHaveLength(
      BODY_SNIPPET_BYTES_MAX
    )
  })
})
