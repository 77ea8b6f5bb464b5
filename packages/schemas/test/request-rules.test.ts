import { describe, expect, it } from "vitest"
import { HEADERS_MAX, type RequestSpec, URL_CHARACTERS_MAX } from "../src/http-request.ts"
import { requestProblems } from "../src/request-rules.ts"

const GET: RequestSpec = { method: "GET", url: "https://example.com/hook" }
const pointers = (spec: RequestSpec) => requestProblems(spec).map(({ pointer }) => pointer)
const withHeader = (name: string, value = "v") => pointers({ ...GET, headers: { [name]: value } })

describe("the rules for requests", () => {
  it("let an ordinary request pass", () => {
    const headers = { "Content-Type": "application/json", "X-Tab": "a\tb", "x!#$%&'*+-.^_`|~1": "", TENANT: "te" }
    expect(requestProblems({ method: "POST", url: GET.url, headers, body: '{"a":"ü 🎉"}' })).toEqual([])
    expect(requestProblems({ ...GET, body: "" })).toEqual([])
  })

  it("keep the headers of the connection for the service, in any letter case", () => {
    const reserved =
      "Host content-length Transfer-Encoding CONNECTION te Trailer upgrade Expect Keep-Alive Proxy-Authorization"
    for (const name of reserved.split(" ")) expect(withHeader(name)).toEqual([`/headers/${name}`])
  })

  it("refuse header names that are none", () => {
    for (const name of ["", "a b", "a:b", "a\r\nHost", "ü", "a\0"])
      expect(withHeader(name)).toEqual([`/headers/${name}`])
    expect(withHeader("a/b~c")).toEqual(["/headers/a~1b~0c"])
  })

  it("refuse header values that could break the line or arrive changed", () => {
    for (const value of ["a\r\nHost: b", "a\nb", "a\rb", "a\0b", "\x7f", "ü", "€"]) {
      expect(withHeader("X", value)).toEqual(["/headers/X"])
    }
  })

  it("refuse a header given twice in different letter case", () => {
    expect(pointers({ ...GET, headers: { Accept: "a", accept: "b" } })).toEqual(["/headers/accept"])
  })

  it("count the headers", () => {
    const headers = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, n) => [`X-${n}`, "v"]))
    expect(pointers({ ...GET, headers: headers(HEADERS_MAX) })).toEqual([])
    expect(pointers({ ...GET, headers: headers(HEADERS_MAX + 1) })).toEqual(["/headers"])
  })

  it("refuse control characters in the URL, which a parser would drop", () => {
    for (const url of [
      "https://exa\r\nmple.com/",
      "https://example.com/\t",
      "https://example.com/\0",
      "\nhttps://a.example"
    ]) {
      expect(pointers({ ...GET, url })).toEqual(["/url"])
    }
  })

  it("count the characters of the URL as sent", () => {
    const url = (path: string) => `https://example.com/${path}`
    const room = URL_CHARACTERS_MAX - url("").length
    expect(pointers({ ...GET, url: url("a".repeat(room)) })).toEqual([])
    expect(pointers({ ...GET, url: url("a".repeat(room + 1)) })).toEqual(["/url"])
    expect(pointers({ ...GET, url: url("ü".repeat(room / 2)) })).toEqual(["/url"])
    expect(pointers({ ...GET, url: "a".repeat(URL_CHARACTERS_MAX + 1) })).toEqual(["/url"])
  })

  it("refuse a body with GET and HEAD, and one that UTF-8 cannot encode", () => {
    for (const method of ["GET", "HEAD"] as const) expect(pointers({ ...GET, method, body: "a" })).toEqual(["/body"])
    expect(pointers({ ...GET, method: "DELETE", body: "a" })).toEqual([])
    expect(pointers({ ...GET, method: "POST", body: "a\ud83c" })).toEqual(["/body"])
  })

  it("name every problem at once, and repeat no value", () => {
    const problems = requestProblems({
      method: "GET",
      url: "https://example.com/\nsesame",
      headers: { Host: "sesame", "X-A": "sesame\n" },
      body: "sesame"
    })
    expect(problems.map(({ pointer }) => pointer)).toEqual(["/url", "/headers/Host", "/headers/X-A", "/body"])
    expect(JSON.stringify(problems)).not.toContain("sesame")
  })
})
