import fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { RequestSpec } from "../src/http-request.ts"
import { BODY_SNIPPET_BYTES_MAX } from "../src/outcome.ts"
import { redactAnswer } from "../src/redact-answer.ts"
import { MASK } from "../src/redaction.ts"
import { SECRET_CHARACTERS_MIN, SECRETS_MAX, secretsOf } from "../src/request-secrets.ts"
import { ENCODINGS, type Encoding, inBase64, PLACES, type Place } from "./echoes.ts"

const RUNS = 400
/** The longest body that a submission may have. */
const REQUEST_CHARACTERS = 786_432
const GET: RequestSpec = { method: "GET", url: "https://example.com/" }
/** Shown characters of a secret that is cut off. */
const CUT_CHARACTERS_MAX = 3

const answer = (request: RequestSpec, body: string, isCut = false) =>
  redactAnswer(request, { headers: [], body, isCut }).bodySnippet
const anyOf = <A>(values: Readonly<Record<string, A>>) => fc.constantFrom(...Object.entries(values))
/** What no target would write right before or after an escape without escaping it, too. */
const around = fc.stringMatching(/^[a-zA-Z0-9 .,:;{}()<>|\n"]{0,40}$/)
/** A place of the request and a secret that can stand there. The mask itself is no secret. */
const anySecret = anyOf<Place>(PLACES).chain(([name, place]) =>
  place.secrets
    .filter((secret) => secret.length >= SECRET_CHARACTERS_MIN && !MASK.includes(secret) && !/[[\]]/.test(secret))
    .map((secret) => ({ name, secret, request: place.request(secret) }))
)

describe("an answer that repeats a secret of the request", () => {
  for (const [name, encode] of Object.entries<Encoding>(ENCODINGS)) {
    it(`does not show it: ${name}`, () => {
      fc.assert(
        fc.property(anySecret, around, around, ({ secret, request }, before, after) => {
          fc.pre(!(before + after).includes(secret))
          const echoed = encode(secret)
          const snippet = answer(request, `${before} ${echoed} ${after}`)
          expect(snippet).not.toContain(secret)
          expect(snippet).not.toContain(echoed)
          // In base64 the characters that touch others are shown, elsewhere nothing is, and all else.
          if (name.includes("base64")) expect(snippet).toContain(MASK)
          else expect(snippet).toBe(`${before} ${MASK} ${after}`)
        }),
        { numRuns: RUNS / 2 }
      )
    })
  }

  it("does not show it in base64 of something longer, wherever it starts there", () => {
    fc.assert(
      fc.property(anySecret, fc.nat(20), fc.nat(20), fc.boolean(), ({ secret, request }, before, after, isForUrls) => {
        const { encoded, core } = inBase64(secret, before, after, isForUrls)
        const snippet = answer(request, `{"data":"${encoded}"}`)
        expect(snippet).not.toContain(core)
        expect(snippet).toContain(MASK)
      }),
      { numRuns: RUNS }
    )
  })

  it("does not show it twice", () => {
    fc.assert(
      fc.property(anySecret, fc.integer({ min: 1, max: 5 }), around, ({ secret, request }, times, between) => {
        expect(answer(request, `${between}|${secret}`.repeat(times))).not.toContain(secret)
      })
    )
  })

  it("shows at most three characters of it when the snippet ends within it", () => {
    fc.assert(
      fc.property(
        anySecret,
        anyOf<Encoding>(ENCODINGS),
        around,
        fc.double({ min: 0, max: 1, noNaN: true }),
        ({ secret, request }, [name, encode], before, share) => {
          const echoed = encode(secret)
          const cut = echoed.slice(0, Math.floor(echoed.length * share))
          // Of base64 four characters count that may be escaped themselves, of all else four of the secret.
          const first = [...secret].slice(0, CUT_CHARACTERS_MAX + 1).join("")
          const start = name.includes("base64") ? echoed.slice(0, 12) : encode(first)
          fc.pre(!name.includes("line breaks") && !before.includes(start))
          if (cut.startsWith(start)) expect(answer(request, `${before} ${cut}`, true)).not.toContain(start)
        }
      ),
      { numRuns: RUNS }
    )
  })

  it("does not show it when it fills the whole snippet, or more", () => {
    const secret = '0123456789 secret "quoted" '.repeat(1_000)
    const request = { ...GET, headers: { "X-Long": secret } }
    for (const body of [secret, JSON.stringify(secret), encodeURIComponent(secret), btoa(secret)]) {
      expect(answer(request, body.slice(0, BODY_SNIPPET_BYTES_MAX), true).replace(MASK, "").length).toBeLessThan(4)
    }
  })

  it("does not show it in a header, be it in a name", () => {
    fc.assert(
      fc.property(anySecret, anyOf<Encoding>(ENCODINGS), ({ secret, request }, [, encode]) => {
        const names = ["ETag", "server", "Location", "x-other"]
        const echoed = encode(secret)
        const { headers } = redactAnswer(request, {
          headers: names.map((name) => [name, `x ${echoed}`]),
          body: "",
          isCut: false
        })
        expect(Object.keys(headers)).toEqual(names.map((name) => name.toLowerCase()))
        for (const value of Object.values(headers)) expect(value).not.toContain(echoed)
      }),
      { numRuns: RUNS }
    )
    const request = { ...GET, headers: { "X-Key": "S3cr3t-Key" } }
    const { headers } = redactAnswer(request, { headers: [["x-s3cr3t-key-1", "a"]], body: "", isCut: false })
    expect(headers).toEqual({ [MASK]: MASK })
  })

  it("does not show a hexadecimal one in other letter case", () => {
    const hex = fc.stringMatching(/^[0-9a-f]{8,40}$/).filter((text) => /[a-f]/.test(text))
    fc.assert(
      fc.property(hex, fc.boolean(), (secret, isUpper) => {
        const [sent, echoed] = isUpper ? [secret.toUpperCase(), secret] : [secret, secret.toUpperCase()]
        expect(answer({ ...GET, headers: { "X-Key": sent } }, `"İ ${echoed}"`)).toBe(`"İ ${MASK}"`)
      })
    )
  })
})

describe("an answer", () => {
  it("is shown as it is when it repeats no secret and has none", () => {
    const word = fc.oneof(fc.lorem(), fc.uuid(), fc.string({ unit: "grapheme", maxLength: 20 }), fc.integer())
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom("id", "name", "status", "author"), word), (document) => {
        const request: RequestSpec = {
          method: "POST",
          url: "https://example.com/?token=ab12cd34ef56",
          headers: { authorization: "Bearer 98zy76xw54vu", "x-key": 'k3y-\u00e4f"0123456789' },
          body: '{"password":"t0p s3cr3t of all"}'
        }
        const body = JSON.stringify(document)
        for (const text of [body, JSON.stringify({ body })]) expect(answer(request, text)).toBe(text)
      })
    )
  })

  it("shows what it repeats of the body, but for what looks secret there", () => {
    const body = JSON.stringify({ name: "Jane Doe", password: "hunter2 hunter2", amount: 12.5, apiKey: "k-123" })
    const request: RequestSpec = { ...GET, method: "POST", body }
    const shown = { ...JSON.parse(body), password: MASK, apiKey: MASK }
    expect(JSON.parse(JSON.parse(answer(request, JSON.stringify({ body }))).body)).toEqual(shown)
    expect(answer(request, "the word is hunter2 hunter2")).toBe(`the word is ${MASK}`)
  })

  it("shows short values: they stand in ordinary text, too", () => {
    const request = {
      ...GET,
      url: "https://example.com/?token=a1b2c",
      headers: { "X-Flag": "true", "X-Count": "12345" }
    }
    expect(answer(request, '{"isTrue":true,"n":12345,"t":"a1b2c"}')).toBe('{"isTrue":true,"n":12345,"t":"a1b2c"}')
    expect("a1b2c").toHaveLength(SECRET_CHARACTERS_MIN - 1)
  })

  it("has at most 8 KiB of a body, whatever is masked and decoded in it", () => {
    const pieces = fc.constantFrom("\ufffd", "s3cret", "ab s3cret", "\u{1f600}", 'x"token":"a"', "\ufffds3cret")
    const bodies = fc.tuple(pieces, pieces).map(([first, second]) => (first + second).repeat(2_000))
    fc.assert(
      fc.property(bodies, (body) => {
        const snippet = answer({ ...GET, headers: { "X-Key": "s3cret" } }, body)
        expect(snippet.isWellFormed()).toBe(true)
        return new TextEncoder().encode(snippet).byteLength <= BODY_SNIPPET_BYTES_MAX
      }),
      { numRuns: 10 }
    )
  })

  it("is not shown when the request has too many secrets to look for", () => {
    const headersOf = (count: number) =>
      Object.fromEntries(Array.from({ length: count }, (_, index) => [`x-${index}`, `secret number ${index}`]))
    expect(secretsOf({ ...GET, headers: headersOf(SECRETS_MAX) })).toHaveLength(SECRETS_MAX)
    const request = { ...GET, headers: headersOf(SECRETS_MAX + 1) }
    expect(redactAnswer(request, { headers: [["Server", "x"]], body: "hello", isCut: false })).toEqual({
      headers: { server: MASK },
      bodySnippet: MASK
    })
  })

  it("takes time in proportion to the request, however it is made", () => {
    const pieces = [
      "eyJ-",
      "eyJaaaaaaaa-",
      "eyJ-.a.",
      "eyJ ",
      "xoxb-",
      "SG.",
      '"a":',
      "a=b&",
      "Bearer ",
      '[{"password":',
      "-----BEGIN PRIVATE KEY"
    ]
    const startedAt = performance.now()
    for (const piece of pieces) {
      answer({ ...GET, method: "POST", body: piece.repeat(REQUEST_CHARACTERS / piece.length) }, "x")
    }
    // Some hundredths of a second for each; with a step for each pair of words it would be a minute.
    expect(performance.now() - startedAt).toBeLessThan(10_000)
  }, 600_000)

  it("is not shown when so many forms of the secrets had to be looked for that it would take long", () => {
    const headers = Object.fromEntries(
      Array.from({ length: SECRETS_MAX }, (_, index) => [`x-${index}`, `%2522\\u0022&quot;%5C%22"${index}&amp;+`])
    )
    expect(answer({ ...GET, headers }, "hello")).toBe(MASK)
  })

  it("takes bounded time, however the request and it are made", () => {
    const long = (piece: string) => piece.repeat(Math.ceil(BODY_SNIPPET_BYTES_MAX / piece.length))
    const pieces = [
      "a",
      "ab",
      "\\",
      "\\\\",
      "%",
      "%2",
      "%25",
      "%41",
      "&",
      "&amp;",
      "+",
      "\\u0061",
      "\n",
      "a\n",
      '"',
      "="
    ]
    const startedAt = performance.now()
    for (const piece of pieces) {
      const headers = Object.fromEntries(
        Array.from({ length: SECRETS_MAX }, (_, index) => [`x-${index}`, long(piece).slice(index) + index])
      )
      answer({ ...GET, headers }, long(piece), true)
    }
    // Some milliseconds for each; with a step for each pair of characters it would be minutes.
    expect(performance.now() - startedAt).toBeLessThan(20_000)
  })
})
