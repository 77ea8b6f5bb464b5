import { gzipSync } from "node:zlib"
import type { Random } from "../random.ts"
import type { Parts } from "./generate-request.ts"
import { mutateBytes, mutateValue, toJsonText } from "./mutate-value.ts"

/** The request with one or two things wrong in it. It stays HTTP: what is not, `malformed.ts` has. */
export const mutateRequest = (parts: Parts, random: Random): Parts => {
  const once = random.pick(MUTATIONS)(parts, random)
  return random.chance(0.3) ? random.pick(MUTATIONS)(once, random) : once
}

type Mutation = (parts: Parts, random: Random) => Parts

/** More often than the others: most of what can go wrong is in bodies. */
const inBody: Mutation = (parts, random) =>
  parts.body === undefined
    ? withBody(parts, toJsonText(mutateValue({}, random)))
    : withBody(parts, toJsonText(mutateValue(parts.value, random)))

const inText: Mutation = (parts, random) =>
  parts.body === undefined ? inTarget(parts, random) : { ...parts, body: mutateBytes(parts.body, random) }

const inTarget: Mutation = (parts, random) => ({ ...parts, target: random.pick(TARGETS)(parts.target, random) })

const inHeaders: Mutation = (parts, random) => random.pick(HEADERS)(parts, random)

const MUTATIONS: ReadonlyArray<Mutation> = [
  inBody,
  inBody,
  inBody,
  inText,
  inText,
  inTarget,
  inTarget,
  inHeaders,
  (parts, random) => ({ ...parts, method: random.pick(["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]) }),
  (parts, random) => withBody(parts, random.chance(0.03) ? "x".repeat(1_100_000) : random.pick(TEXTS))
]

const TEXTS = ["", "null", "[]", "true", "7", '"x"', "{}", "{}{}", "[".repeat(100_000)]

const withBody = (parts: Parts, text: string): Parts => ({
  ...parts,
  headers: [...parts.headers.filter(([name]) => name !== "content-type"), ["content-type", "application/json"]],
  body: new TextEncoder().encode(text)
})

const insertAt = (text: string, at: number, piece: string): string => text.slice(0, at) + piece + text.slice(at)

/** Tricks with the address. All stay visible ASCII without blanks, or Bun answers. */
const TARGETS: ReadonlyArray<(target: string, random: Random) => string> = [
  (target, random) => {
    const at = 1 + random.int(target.length - 1)
    const code = (target.codePointAt(at) ?? 97).toString(16).padStart(2, "0")
    return `${target.slice(0, at)}%${random.chance(0.3) ? "25" : ""}${code}${target.slice(at + 1)}`
  },
  (target, random) => {
    const pieces = [
      "%2f",
      "%00",
      "%ZZ",
      "%",
      "%c3%28",
      "%ed%a0%80",
      "%0d%0a",
      "%20",
      "/",
      "//",
      "/./",
      "/../",
      ";",
      "\\",
      "#",
      "?",
      "&",
      "+",
      "é"
    ]
    return insertAt(target, 1 + random.int(target.length), random.pick(pieces))
  },
  (target) => `/${target}`,
  (target) => `${target}/`,
  (target) => target.toUpperCase(),
  (target, random) => target.slice(0, 1 + random.int(target.length)),
  (target) => insertAt(target, Math.max(target.indexOf("/", 1), 0) + 1, "../"),
  (target, random) =>
    `${target.split("?")[0]}${random.pick(["x", "-", "~"]).repeat(random.pick([64, 65, 300, 5_000]))}`,
  (target, random) => addQuery(target, random.pick(QUERIES)),
  (target, random) => addQuery(target, random.pick(QUERIES)),
  (target, random) => addQuery(target, target.split("?")[1] ?? random.pick(QUERIES)),
  (target, random) =>
    addQuery(target, Array.from({ length: random.pick([2, 30, 500]) }, (_, n) => `tag=${n}`).join("&"))
]

const addQuery = (target: string, query: string): string => `${target}${target.includes("?") ? "&" : "?"}${query}`

const QUERIES = [
  "limit=0",
  "limit=1e2",
  "limit=+5",
  "limit=9007199254740993",
  "limit=NaN",
  "limit=%F0%9F%92%A5",
  "limit[]=1",
  "limit=1&limit=2",
  "status=Failed&status=Failed",
  "status=failed",
  "status",
  "tag=",
  "tag=%00",
  "tag=%ED%A0%80",
  "from=2026-02-30T00:00:00Z",
  "from=9999-12-31T23:59:59-23:59",
  "to=0000-01-01T00:00:00%2B23:59",
  "q=%25",
  `q=${"x".repeat(5_000)}`,
  "q='%20OR%201=1",
  "cursor=AAAA",
  `cursor=${Buffer.from("999999999999999.019a53b1-7c00-7d4e-8a51-0f6c1d2e3b4a").toString("base64url")}`,
  "cursor=%00",
  "__proto__=1",
  "__proto__[x]=1",
  "constructor=1",
  "=",
  "&&&",
  "=x&x",
  "%=%",
  "x=1"
]

/** The headers that mean something here, with what should not be in them. */
const HEADERS: ReadonlyArray<(parts: Parts, random: Random) => Parts> = [
  (parts, random) => replaceHeader(parts, "content-type", random.pick(CONTENT_TYPES)),
  (parts) => ({ ...parts, headers: parts.headers.filter(([name]) => name !== "content-type") }),
  (parts, random) => addHeader(parts, "content-type", random.pick(CONTENT_TYPES)),
  (parts, random) => {
    const encoding = random.pick(["gzip", "gzip, gzip", "br", "identity", "", "x"])
    const body = parts.body === undefined || random.chance(0.3) ? parts.body : gzipSync(parts.body)
    return addHeader({ ...parts, body }, "content-encoding", encoding)
  },
  (parts) => {
    const body = parts.body && Buffer.from(Buffer.from(parts.body).toString("utf8"), "utf16le")
    return replaceHeader({ ...parts, body }, "content-type", "application/json; charset=utf-16le")
  },
  (parts, random) =>
    addHeader(parts, "idempotency-key", random.pick(["", "a b", "x".repeat(256), "ü", "~", "a", "a, b"])),
  (parts, random) => addHeader(parts, "accept", random.pick(["text/html", "*/*;q=0", "application/xml", ""])),
  (parts, random) => addHeader(parts, "range", random.pick(["bytes=0-1", "bytes=1-0", "x"])),
  (parts, random) => addHeader(parts, "expect", random.pick(["100-continue", "x"])),
  (parts, random) => addHeader(parts, "x-correlation-id", random.pick(["x", "019a53b1-7c00-7d4e-8a51-0f6c1d2e3b4a"])),
  (parts, random) =>
    addHeader(parts, "traceparent", random.pick(["00-0-0-0", `00-${"f".repeat(32)}-${"f".repeat(16)}-01`])),
  (parts, random) => addHeader(parts, "origin", random.pick(["null", "http://evil.example", "http://localhost", "x"])),
  (parts, random) => addHeader(parts, "sec-fetch-site", random.pick(["cross-site", "same-origin", "x"])),
  (parts, random) => addHeader(parts, "referer", random.pick(["http://evil.example/", "x", ""])),
  (parts, random) => addHeader(parts, "host", random.pick(["localhost", "evil.example", ""])),
  (parts, random) => addHeader(parts, random.pick(["__proto__", "constructor", "cookie", "upgrade"]), "x"),
  (parts) => addHeader(parts, "x-long", "x".repeat(4_000)),
  (parts) => addHeader(parts, "x-http-method-override", "DELETE"),
  (parts) => ({ ...parts, body: parts.body ?? new TextEncoder().encode("unasked for") })
]

const CONTENT_TYPES = [
  "text/plain",
  "application/x-www-form-urlencoded",
  "multipart/form-data; boundary=x",
  "application/json; charset=utf-16",
  "application/json;",
  "APPLICATION/JSON",
  "application/problem+json",
  "application/json, text/plain",
  "json",
  ";",
  ""
]

const addHeader = (parts: Parts, name: string, value: string): Parts => ({
  ...parts,
  headers: [...parts.headers, [name, value]]
})

const replaceHeader = (parts: Parts, name: string, value: string): Parts =>
  addHeader({ ...parts, headers: parts.headers.filter(([known]) => known !== name) }, name, value)
