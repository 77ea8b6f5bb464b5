import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { redactRequest } from "../src/http-request.ts"
import { MASK, redactHeaders, redactText, redactUrl } from "../src/redaction.ts"

const URL_MASK = encodeURIComponent(MASK)
/** Credentials of well-known forms. Put together here, so that no scanner of repositories takes them for real ones. */
const CREDENTIALS = [
  ["sk", "live", "4eC39HqLyjWDarjtT1zdp7dc"].join("_"),
  ["rk", "test", "4eC39HqLyjWDarjt"].join("_"),
  `ghp_${"a1B2".repeat(9)}`,
  `github_pat_${"a1B2".repeat(10)}`,
  `glpat-${"a1-B2".repeat(4)}`,
  ["xoxb", "123456789012", "abcdefABCDEF"].join("-"),
  `AKIA${"IOSFODNN7EXAMPLE"}`,
  `AIza${"Sy-a1B2_".repeat(5)}`,
  `sk-proj-${"a1B2".repeat(6)}`,
  `npm_${"a1B2".repeat(9)}`,
  `SG.${"a1B2".repeat(5)}.${"c3D4".repeat(10)}`,
  `shpat_${"0123456789abcdef".repeat(2)}`,
  "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
]
/** What people want to read: ids, numbers, times, hashes, words. */
const HARMLESS = [
  "019a53b1-7c00-7d4e-8a51-0f6c1d2e3b4a",
  "019A53B17C007D4E8A510F6C1D2E3B4A",
  "ORD-2026-000123456789",
  "2026-11-21T10:37:15.676Z",
  "01ARZ3NDEKTSV4RRFFQ69G5FAV",
  "507f1f77bcf86cd799439011",
  "2cf5393ab0d0e4c1f6b7a8d9e0f1a2b3c4d5e6f7",
  "00-4bf92f3577b34da6-00f067aa0ba9",
  "V1StGXR8_Z5jdHi6B-myT",
  ["pi", "3MtwBwLkdIwHu7ix28a3tqPa"].join("_"),
  "123456789012345678901234567890123456789012",
  "quarterly-report-of-the-northern-region-2026-final-version.pdf",
  "getAllTheOrdersOfTheCustomerByEmailAddressV2",
  "MonthlyReport2026OfTheNorthernRegionVersion12",
  "019a53b1-7c00-7d4e-8a51-0f6c1d2e3b4a_019a53b1-7c00-7d4e-8a51-0f6c1d2e3b4b",
  "jane.doe+orders@example.com",
  "task_live_update_of_everything",
  "disk-usage-of-the-whole-cluster-today"
]

describe("the redacted URL", () => {
  it("has no user information, no fragment, and no value of a parameter with a secret-looking name", () => {
    expect(redactUrl("https://me:pw@example.com/a?token=abc&page=2#frag")).toBe(
      `https://example.com/a?token=${URL_MASK}&page=2`
    )
    const names = "access_token apiKey api_key X-Amz-Signature sig client_secret code password k session user[password]"
    for (const name of names.split(" ")) {
      expect(redactUrl(`https://example.com/?a=1&${name}=abc&b=2`)).toBe(
        `https://example.com/?a=1&${name}=${URL_MASK}&b=2`
      )
    }
    for (const name of [
      "page",
      "author",
      "authority",
      "compass",
      "passengers",
      "passed",
      "monkey",
      "keyboard",
      "pageToken",
      "next_token",
      "pins"
    ]) {
      expect(redactUrl(`https://example.com/?${name}=abc`)).toBe(`https://example.com/?${name}=abc`)
    }
  })

  it("masks credentials that are known by their form, whatever the parameter or the place in the path", () => {
    for (const credential of CREDENTIALS) {
      expect(redactUrl(`https://example.com/a/${credential}/b?q=${credential}&n=1`)).toBe(
        `https://example.com/a/${URL_MASK}/b?q=${URL_MASK}&n=1`
      )
    }
  })

  it("masks long random text, bearer values, and secrets inside of a value", () => {
    for (const value of [
      "h8Kq2Zx9Lm4Vb7Nc1Ty6Rw3Pd5Fs0Gj8",
      "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
      "a8x3k2p9q7z1m4n6b5v0c8s2d7f3g1h9",
      "Bearer%20a1b2c3d4e5",
      "Bearer+a1b2c3d4e5",
      encodeURIComponent("https://example.org/?access_token=abc"),
      encodeURIComponent('{"password":"abc"}'),
      encodeURIComponent("postgres://me:pw@db/orders")
    ]) {
      expect(redactUrl(`https://example.com/?q=${value}`)).toBe(`https://example.com/?q=${URL_MASK}`)
    }
  })

  it("shows ids, numbers, times, hashes and words", () => {
    for (const text of HARMLESS) {
      const url = `https://example.com/things/${encodeURIComponent(text)}?q=${encodeURIComponent(text)}&page=2`
      expect(redactUrl(url)).toBe(url)
    }
  })

  it("masks addresses that let everybody in who knows them, and parameters in the path", () => {
    expect(redactUrl("https://hooks.slack.com/services/T01ABC/B02DEF/XyZ123abcDEF456ghiJKL789")).toBe(
      `https://hooks.slack.com/services/T01ABC/B02DEF/${URL_MASK}`
    )
    expect(redactUrl(`https://api.telegram.org/bot123456789:${"aB3".repeat(11)}/sendMessage`)).toBe(
      `https://api.telegram.org/bot${URL_MASK}/sendMessage`
    )
    expect(redactUrl("https://example.com/a;jsessionid=abc/b")).toBe(`https://example.com/a;jsessionid=${URL_MASK}/b`)
  })

  it("of a relative address shows as much", () => {
    expect(redactUrl("/callback?code=abc&state=1#frag")).toBe(`/callback?code=${URL_MASK}&state=1`)
    expect(redactUrl("//me:pw@example.com/a")).toBe("//example.com/a")
    expect(redactUrl("https:\\\\me:pw@example.com\\a")).toBe("https://example.com/a")
  })

  it("keeps all else, byte for byte", () => {
    const safe = fc.stringMatching(/^[a-z]{1,8}$/)
    const url = fc.record({
      path: fc.array(fc.oneof(safe, fc.uuid())),
      query: fc.array(
        fc.tuple(fc.constantFrom("page", "q", "a%20b", ""), fc.oneof(safe, fc.uuid(), fc.constant("a%2Bb+c")))
      )
    })
    fc.assert(
      fc.property(url, ({ path, query }) => {
        const text = `https://example.com/${path.join("/")}?${query.map(([name, value]) => `${name}=${value}`).join("&")}`
        expect(redactUrl(text)).toBe(text)
      })
    )
  })
})

describe("the redacted headers", () => {
  it("show no value of a header that is not known to be harmless", () => {
    const secret = "s3cr3t-value"
    const names = fc.constantFrom("Authorization", "X-API-Key", "cookie", "x-anything", "Set-Cookie", "X-Signature")
    fc.assert(
      fc.property(fc.array(names), (headers) => {
        expect(JSON.stringify(redactHeaders(headers.map((name) => [name, secret])))).not.toContain(secret)
      })
    )
    expect(redactHeaders([["Content-Type", "text/plain; charset=utf-8"]])).toEqual({
      "content-type": "text/plain; charset=utf-8"
    })
    expect(redactHeaders([["__proto__", "x"]])).toEqual({ ["__proto__"]: MASK })
  })

  it("show no value that looks secret, though its header is harmless", () => {
    for (const credential of CREDENTIALS) {
      expect(redactHeaders([["User-Agent", `client (${credential})`]])).toEqual({ "user-agent": `client (${MASK})` })
    }
    expect(redactHeaders([["Accept", "Bearer a1b2c3d4e5"]])).toEqual({ accept: `Bearer ${MASK}` })
    expect(redactHeaders([["Location", "https://example.com/?token=abc"]])["location"]).not.toContain("abc")
    for (const text of HARMLESS) expect(redactHeaders([["X-Request-Id", text]])).toEqual({ "x-request-id": text })
  })
})

describe("the redacted request", () => {
  it("says how long the body is and nothing of what it says", () => {
    const view = redactRequest({ method: "POST", url: "https://example.com/", body: "grüezi" })
    expect(view).toEqual({ method: "POST", url: "https://example.com/", headers: {}, bodyBytes: 7 })
  })
})

describe("a redacted text", () => {
  it("has no values of secret-looking JSON members, at whatever depth and however they are escaped", () => {
    const document = {
      access_token: "abc",
      token_type: "bearer",
      expires_in: 3600,
      user: { newPassword: 'a"b\\', "x-api-key": "", pin: 12345, author: "Jane" },
      credentials: { name: "joe", keys: ["k1", "k2"] },
      usage: { total_tokens: 12345, tokens: 99999 },
      code: 404,
      nextPageToken: "CAUQAA",
      key: "row-1"
    }
    const redacted = {
      ...document,
      access_token: MASK,
      user: { ...document.user, newPassword: MASK, pin: MASK },
      credentials: { name: MASK, keys: [MASK, MASK] }
    }
    let [before, after] = [document, redacted] as [unknown, unknown]
    for (const _ of [1, 2, 3, 4]) {
      expect(JSON.parse(redactText(JSON.stringify(before)))).toEqual(after)
      expect(JSON.parse(redactText(JSON.stringify(before, null, 2)))).toEqual(after)
      before = { body: JSON.stringify(before) }
      after = { body: JSON.stringify(after) }
    }
  })

  it("has no values of secret-looking form fields, parameters and header lines", () => {
    for (const [text, redacted] of [
      ["user=joe&password=abc&n=1", `user=joe&password=${MASK}&n=1`],
      ["access_token=abc&token_type=bearer", `access_token=${MASK}&token_type=bearer`],
      ["see https://example.com/?a=1&sig=abc, then", `see https://example.com/?a=1&sig=${MASK}, then`],
      ['client_secret="a b" and more', `client_secret="${MASK}" and more`],
      ["> Authorization: Digest a b c\r\n> Accept: *", `> Authorization: ${MASK}\r\n> Accept: *`],
      ["redis://:pw@cache/0 down", `redis://${MASK}@cache/0 down`],
      ["Basic YWxpY2U6c2VjcmV0 and Bearer a1b2c3d4e5.", `Basic ${MASK} and Bearer ${MASK}`],
      [
        "a\n-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nb",
        `a\n${MASK}-----END RSA PRIVATE KEY-----\nb`
      ]
    ] as const) {
      expect(redactText(text)).toBe(redacted)
    }
    for (const credential of CREDENTIALS) {
      expect(redactText(JSON.stringify({ note: `line\n${credential}\n` }))).toBe(
        JSON.stringify({ note: `line\n${MASK}\n` })
      )
      expect(redactText(`<p>${credential}</p>`)).toBe(`<p>${MASK}</p>`)
    }
  })

  it("is the text as it was, when nothing in it looks secret", () => {
    const name = fc.constantFrom("id", "name", "author", "code", "key", "passenger", "token_type", "pins")
    const value = fc.oneof(
      fc.lorem({ maxCount: 3 }),
      fc.uuid(),
      fc.integer(),
      fc.boolean(),
      fc.constantFrom(...HARMLESS)
    )
    const document = fc.dictionary(name, fc.oneof(value, fc.array(fc.dictionary(name, value))))
    fc.assert(
      fc.property(document, fc.nat(2), (fields, depth) => {
        let text = JSON.stringify(fields)
        for (let level = 0; level < depth; level++) text = JSON.stringify({ body: text })
        expect(redactText(text)).toBe(text)
      }),
      { numRuns: 40 }
    )
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 100 }), (text) => redactText(text) === text),
      { numRuns: 40 }
    )
    for (const text of [
      "Bearer token required",
      'Bearer realm="orders", error="invalid_token"',
      "Basic authentication is off",
      "Invalid token: it has expired",
      "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
      "if (token == other) secret => 1",
      "https://example.com:8080/a@b"
    ]) {
      expect(redactText(text)).toBe(text)
    }
  })

  it("takes time that is linear in its length, however hostile it is", () => {
    const pieces = [
      '"',
      "'",
      "\\",
      '\\"',
      '":',
      "':",
      '\\\\":"',
      '"token":',
      '"token":[',
      '"token":"',
      '"token":{"a":',
      "token=",
      "a=",
      "x-x-",
      "x-token:",
      "Authorization: ",
      "://",
      "://a:",
      "://:::::",
      "-----BEGIN ",
      "-----BEGIN PRIVATE KEY-----",
      "eyJ",
      "eyJaaaaaaaaa.",
      "sk-",
      "SG.",
      "Bearer ",
      "Basic YTpi",
      "%",
      "&",
      "+",
      ":",
      "=",
      "[",
      "a",
      "\u0141",
      "1"
    ]
    const startedAt = performance.now()
    expect(redactText(`{"tokens":[${'"a",'.repeat(100_000)}"b"]}`)).not.toMatch(/"[ab]"/)
    for (const piece of pieces) redactText(piece.repeat(Math.ceil(400_000 / piece.length)))
    // A pass over them takes well under a second, one step for each pair of characters hours.
    expect(performance.now() - startedAt).toBeLessThan(20_000)
  })
})
