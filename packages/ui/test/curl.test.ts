import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { looksLikeCurl, parseCurl, splitWords } from "../src/lib/curl.ts"
import { writeCurl } from "../src/lib/curl-writer.ts"
import { METHODS } from "../src/lib/wire.ts"

const JSON_TYPE = ["Content-Type", "application/json"]
const FORM_TYPE = ["Content-Type", "application/x-www-form-urlencoded"]

describe("a curl command", () => {
  it("is read as curl reads it", () => {
    const rows = [
      ["curl example.com", { method: "GET", url: "http://example.com", headers: [], body: "" }],
      ["curl -I https://a/", { method: "HEAD", url: "https://a/" }],
      ["curl -sSXPUT https://a/ -d x", { method: "PUT", body: "x", headers: [FORM_TYPE] }],
      ["curl https://a/ -d a=1 -d b=2", { method: "POST", body: "a=1&b=2", headers: [FORM_TYPE] }],
      ["curl -G https://a/?z=0 -d a=1 --data-urlencode 'b=c d'", { method: "GET", url: "https://a/?z=0&a=1&b=c%20d" }],
      [
        `curl --json '{"a":1}' https://a/`,
        { method: "POST", body: '{"a":1}', headers: [JSON_TYPE, ["Accept", "application/json"]] }
      ],
      ["curl -u me:pass https://a/", { headers: [["Authorization", "Basic bWU6cGFzcw=="]] }],
      [
        "curl -H 'X-A: b: c' -H 'X-Empty;' https://a/",
        {
          headers: [
            ["X-A", "b: c"],
            ["X-Empty", ""]
          ]
        }
      ],
      [
        "curl -b 'a=b' -A agent -e https://r/ https://a/",
        {
          headers: [
            ["Cookie", "a=b"],
            ["User-Agent", "agent"],
            ["Referer", "https://r/"]
          ]
        }
      ],
      ["$ curl \\\n  'https://a/' \\\r\n  -X DELETE \\\n  --compressed", { method: "DELETE", url: "https://a/" }],
      ["curl https://a/ --data-raw $'it\\'s\\n\\u0021'", { body: "it's\n!" }],
      ['curl https://a/ --data "a\\"b\\$c\\d"', { body: 'a"b$c\\d' }],
      ["curl https://a/ -d x\ncurl https://b/", { url: "https://a/", body: "x" }]
    ] as const
    for (const [command, expected] of rows)
      expect({ command, ...parseCurl(command) }).toMatchObject({ command, ...expected })
  })

  it("says what of it is left out", () => {
    expect(parseCurl("curl -L -k https://a/ -d @file -X TRACE https://b/")?.leftOut).toEqual([
      "-L: redirects are not followed",
      "-k: certificates are always checked",
      "-d @file: a file",
      "https://b/: a second URL",
      "method TRACE"
    ])
  })

  it("is nothing when it cannot be read", () => {
    for (const command of ["", "curl", "curl 'https://a/", "wget https://a/", "curl -X POST"]) {
      expect(parseCurl(command)).toBeUndefined()
    }
    expect(looksLikeCurl("https://curl.se/ ")).toBe(false)
  })

  it("is read whatever is in it", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        parseCurl(`curl ${text}`)
        splitWords(text)
      })
    )
  })

  it("comes back from what is written as it was", () => {
    const header = fc.tuple(
      fc.stringMatching(/^X-[A-Za-z]{1,8}$/),
      fc.string({ maxLength: 12 }).map((value) => value.trim())
    )
    const request = fc.record({
      method: fc.constantFrom(...METHODS),
      url: fc.webUrl({ withQueryParameters: true }),
      headers: fc.array(header, { maxLength: 3 }).map((rows) => [...rows, ["Content-Type", "text/plain"] as const]),
      body: fc.string({ unit: "grapheme", maxLength: 30 }).filter((text) => !text.startsWith("@"))
    })
    fc.assert(
      fc.property(request, ({ method, url, headers, body }) => {
        const sent = { method, url, headers, body: method === "HEAD" ? "" : body }
        expect(parseCurl(writeCurl(sent))).toEqual({ ...sent, leftOut: [] })
      })
    )
  })
})
