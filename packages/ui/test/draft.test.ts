import { describe, expect, it } from "vitest"
import {
  defaultName,
  emptyDraft,
  headerRow,
  isJsonBody,
  isSecretName,
  placeOf,
  problemsOf,
  toSubmission,
  withoutSecrets
} from "../src/lib/draft.ts"

const KEY = "5f0c7a0e-7f3b-4a54-9c26-5a2e1a6f5c11"
const draft = { ...emptyDraft(KEY), url: " https://example.com/hook?a=1 " }
const at = (pointer: string) => placeOf({ pointer, detail: "" })

describe("what is in the form", () => {
  it("becomes a submission without what was left alone", () => {
    expect(toSubmission(draft)).toEqual({
      name: "POST example.com/hook",
      requestSpec: {
        method: "POST",
        url: "https://example.com/hook?a=1",
        headers: { "Content-Type": "application/json" }
      }
    })
    expect(toSubmission({ ...draft, when: "later", dueAt: "2027-01-01T00:00:00Z", timeoutMs: "soon" })).toMatchObject({
      dueAt: "2027-01-01T00:00:00Z",
      timeoutMs: "soon"
    })
    expect(defaultName({ method: "GET", url: "nonsense" })).toBe("")
  })

  it("is refused where a submission would lose something", () => {
    const headers = [headerRow("A", "1"), headerRow("a", "2"), headerRow("", "3"), headerRow("B/~", "", true)]
    const pointers = problemsOf({ ...draft, headers, when: "later", isBodyRequired: true }).map(
      ({ pointer }) => pointer
    )
    expect(pointers).toEqual([
      "#/requestSpec/headers/a",
      "#/requestSpec/headers/",
      "#/requestSpec/headers/B~1~0",
      "#/requestSpec/body",
      "#/dueAt"
    ])
    expect(problemsOf({ ...draft, url: "https://a/?token=%5Bredacted%5D" })).toHaveLength(1)
    expect(problemsOf(draft)).toEqual([])
  })

  it("gets each problem at its field", () => {
    expect(at("#/requestSpec/url")).toEqual({ field: "url", part: "" })
    expect(at("#/requestSpec/headers/B~1~0")).toEqual({ field: "headers", part: "B/~" })
    expect(at("#/requestSpec/headers/a%20b")).toEqual({ field: "headers", part: "a b" })
    expect(at("#/tags/3")).toEqual({ field: "tags", part: "3" })
    expect(at("#/idempotency-key")).toEqual({ field: "idempotencyKey", part: "" })
    for (const pointer of ["#", "#/other", "#/requestSpec", "#/constructor", "", "%"])
      expect(at(pointer)).toBeUndefined()
  })

  it("is kept without the values of secret headers", () => {
    const headers = [headerRow("X-Api-Key", "s3cret"), headerRow("Cookie", "s3cret"), headerRow("Accept", "text/plain")]
    const kept = JSON.stringify(withoutSecrets({ ...draft, headers }))
    expect(kept).not.toContain("s3cret")
    expect(kept).toContain("text/plain")
    for (const name of ["Authorization", "X-Auth-Token", "api_key", "Stripe-Signature", "X-Session"]) {
      expect([name, isSecretName(name)]).toEqual([name, true])
    }
    for (const name of ["Idempotency-Key", "Accept", "Content-Type", "X-Monkey"]) {
      expect([name, isSecretName(name)]).toEqual([name, false])
    }
  })

  it("has a JSON body by its content type", () => {
    const typed = (value: string) => isJsonBody({ headers: [headerRow("content-type", value)] })
    expect(["application/json; charset=utf-8", "application/problem+json", "text/json"].map(typed)).toEqual([
      true,
      true,
      true
    ])
    expect(["text/plain", "application/jsonl"].map(typed)).toEqual([false, false])
  })
})
