import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { MASK, redactHeaders, redactRequest, redactUrl } from "../src/http-request.ts"

describe("the redacted view", () => {
  it("shows no value of a header that is not known to be harmless", () => {
    const secret = "s3cr3t-value"
    const names = fc.constantFrom("Authorization", "X-API-Key", "cookie", "x-anything", "Set-Cookie", "X-Signature")
    fc.assert(
      fc.property(fc.array(names), (headers) => {
        expect(JSON.stringify(redactHeaders(headers.map((name) => [name, secret])))).not.toContain(secret)
      })
    )
    expect(redactHeaders([["Content-Type", "text/plain"]])).toEqual({ "content-type": "text/plain" })
    expect(redactHeaders([["__proto__", "x"]])).toEqual({ ["__proto__"]: MASK })
  })

  it("masks secret-looking query parameters, user information and the fragment", () => {
    expect(redactUrl("https://me:pw@example.com/a?token=abc&page=2#frag")).toBe(
      `https://example.com/a?token=${encodeURIComponent(MASK)}&page=2`
    )
    for (const name of ["access_token", "apiKey", "api_key", "sig", "client_secret", "code"]) {
      expect(redactUrl(`https://example.com/?${name}=abc`)).not.toContain("abc")
    }
    expect(redactUrl("https://example.com/?page=abc")).toBe("https://example.com/?page=abc")
    expect(redactHeaders([["Location", "https://example.com/?token=abc"]])["location"]).not.toContain("abc")
  })

  it("says how long the body is and nothing of what it says", () => {
    const view = redactRequest({ method: "POST", url: "https://example.com/", body: "grüezi" })
    expect(view).toEqual({ method: "POST", url: "https://example.com/", headers: {}, bodyBytes: 7 })
  })
})
