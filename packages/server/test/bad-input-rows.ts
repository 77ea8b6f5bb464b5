import { callsOf, json, type Submission } from "./client.ts"

export const TENANT = "acme"
export const CALLS = callsOf(TENANT)
/** No id of any call. */
export const UNKNOWN_ID = "019a53b1-7c00-7d4e-8a51-0f6c1d2e3b4a"
/** Stands in values, which no answer may repeat. */
export const CANARY = "c4nary"
const CONTENT_BYTES_MAX = 1_048_576

export const good: Submission = { name: "good", requestSpec: { method: "POST", url: "https://example.com/" } }

/** What is wrong, the request, the status and the fields that the problem has to name; none when it has no list. */
type Row = readonly [what: string, path: string, init: RequestInit, status: number, fields?: ReadonlyArray<string>]

const posted = (body: string, headers: Readonly<Record<string, string>> = { "content-type": "application/json" }) => ({
  method: "POST",
  headers,
  body
})
const body = (what: string, change: object, ...fields: ReadonlyArray<string>): Row => [
  what,
  CALLS,
  json({ ...good, ...change }),
  422,
  fields.map((field) => `body #${field}`)
]
const request = (what: string, change: object, ...fields: ReadonlyArray<string>): Row =>
  body(what, { requestSpec: { ...good.requestSpec, ...change } }, ...fields.map((field) => `/requestSpec${field}`))
const url = (text: string): Row => request(`the URL ${JSON.stringify(text.slice(0, 60))}`, { url: text }, "/url")
const header = (name: string, value = CANARY, pointer = name): Row =>
  request(`the header ${JSON.stringify(name)}`, { headers: { [name]: value } }, `/headers/${pointer}`)
const dueAt = (value: unknown): Row => body(`the due time ${JSON.stringify(value)}`, { dueAt: value }, "/dueAt")
const query = (text: string, ...fields: ReadonlyArray<string>): Row => [
  `the query ${text}`,
  `${CALLS}?${text}`,
  {},
  422,
  fields.map((field) => `query #/${field}`)
]
/** On the routes beside the list. */
const queryOn = (route: string, text: string, ...fields: ReadonlyArray<string>): Row => [
  `the query ${text} on ${route}`,
  `${CALLS}/${route}?${text}`,
  {},
  422,
  fields.map((field) => `query #/${field}`)
]
const resend = (what: string, sent: RequestInit, status: number, ...fields: ReadonlyArray<string>): Row => {
  const row = [what, `${CALLS}/${UNKNOWN_ID}/resend`, sent, status] as const
  return fields.length === 0 ? row : [...row, fields]
}
const keyed = (what: string, key: string, change = {}): Row => [
  what,
  CALLS,
  json({ ...good, ...change }, { "idempotency-key": key }),
  422,
  ["header #/idempotency-key"]
]
const ago = (minutes: number): string => new Date(Date.now() - minutes * 60_000).toISOString()

export const ROWS: ReadonlyArray<Row> = [
  ["half a document", CALLS, posted(`{"name": "${CANARY}`), 400],
  ["an empty body", CALLS, posted(""), 400],
  ["bytes that are not UTF-8", CALLS, { ...posted(""), body: new Uint8Array([0x22, 0xff, 0x22]) }, 400],
  ["two documents", CALLS, posted("{}{}"), 400],
  ["text", CALLS, posted(JSON.stringify(good), { "content-type": "text/plain" }), 415],
  ["a form", CALLS, { method: "POST", body: new URLSearchParams({ name: CANARY }) }, 415],
  ["no content type", CALLS, { method: "POST", body: new TextEncoder().encode(JSON.stringify(good)) }, 415],
  ["null", CALLS, posted("null"), 422, ["body #"]],
  ["an array", CALLS, posted("[]"), 422, ["body #"]],
  ["a text", CALLS, posted(`"${CANARY}"`), 422, ["body #"]],
  ["an empty object", CALLS, posted("{}"), 422, ["body #/name", "body #/requestSpec"]],
  [
    "an empty request",
    CALLS,
    json({ name: "x", requestSpec: {} }),
    422,
    ["body #/requestSpec/method", "body #/requestSpec/url"]
  ],
  ["a wrong body and a query", `${CALLS}?x=1`, json({}), 422, ["query #/x"]],
  body("a number as name", { name: 7 }, "/name"),
  body("an empty name", { name: "" }, "/name"),
  body("a long name", { name: "x".repeat(201) }, "/name"),
  body("an unknown field", { dueat: CANARY }, "/dueat"),
  body("an unknown field with signs of a pointer", { "a/b~c d": CANARY }, "/a~1b~0c%20d"),
  body("__proto__", JSON.parse(`{"__proto__": {"name": "${CANARY}"}, "x": 1}`), "/__proto__"),
  body("a text as tags", { tags: CANARY }, "/tags"),
  body("a number as tag", { tags: ["a", 1] }, "/tags/1"),
  body("an empty tag", { tags: [""] }, "/tags/0"),
  body("a tag twice", { tags: ["a", "a"] }, "/tags"),
  body("too many tags", { tags: Array.from(Array(21).keys(), String) }, "/tags"),
  body("a timeout of 0", { timeoutMs: 0 }, "/timeoutMs"),
  body("a timeout of half a millisecond", { timeoutMs: 0.5 }, "/timeoutMs"),
  body("a timeout of more than two minutes", { timeoutMs: 120_001 }, "/timeoutMs"),
  body("a timeout as text", { timeoutMs: "10" }, "/timeoutMs"),
  body("keepRequest as text", { keepRequest: "true" }, "/keepRequest"),
  body("an unknown onUnknown", { onUnknown: CANARY }, "/onUnknown"),
  body("onUnknown resend for a POST", { onUnknown: "resend" }, "/onUnknown"),
  body("null for an optional field", { tags: null, dueAt: null }, "/tags", "/dueAt"),
  body("an array as request", { requestSpec: [] }, "/requestSpec"),
  body("three wrong fields", { name: 1, dueAt: CANARY, timeoutMs: -1 }, "/name", "/dueAt", "/timeoutMs"),
  request("an unknown method", { method: "TRACE" }, "/method"),
  request("a method in lower case", { method: "post" }, "/method"),
  request("an unknown field of the request", { headersx: CANARY }, "/headersx"),
  request("an object as body", { body: { a: CANARY } }, "/body"),
  request("a body with GET", { method: "GET", body: CANARY }, "/body"),
  request("a large body", { body: "x".repeat(786_433) }, "/body"),
  request("half a surrogate pair", { body: "\ud800" }, "/body"),
  request("headers as array", { headers: [["a", "b"]] }, "/headers"),
  request("a number as header", { headers: { a: 1 } }, "/headers/a"),
  request(
    "too many headers",
    { headers: Object.fromEntries(Array.from(Array(101).keys(), (n) => [`h${n}`, "x"])) },
    "/headers"
  ),
  request(
    "headers that are too long together",
    { headers: { a: "x".repeat(20_000), b: "x".repeat(20_000) } },
    "/headers"
  ),
  request("a header twice", { headers: { "X-A": "1", "x-a": "2" } }, "/headers/x-a"),
  ...["", "/hook", CANARY, "https://", "https://exa mple.com/", `ftp://${CANARY}.example/`].map(url),
  ...["file:///etc/passwd", "data:text/plain,x", "javascript:1", "s3://bucket/x"].map(url),
  ...[`https://user:${CANARY}@example.com/`, `https://${CANARY}@example.com/`].map(url),
  ...["http://localhost/", "http://LOCALHOST:80/", "http://a.localhost./", "http://intranet/"].map(url),
  ...["http://printer.local/", "http://db.internal/", "http://nas.home.arpa/", "http://metadata.google.internal/"].map(
    url
  ),
  ...["http://127.0.0.1:1/", "http://2130706433/", "http://0x7f.1/", "http://0177.0.0.1/", "http://１２７.0.0.1/"].map(
    url
  ),
  ...[
    "http://10.1.2.3/",
    "http://192.168.0.1/",
    "http://172.31.0.1/",
    "http://169.254.169.254/",
    "http://0.0.0.0/"
  ].map(url),
  ...[
    "http://[::1]/",
    "http://[::ffff:10.0.0.1]/",
    "http://[fd00::1]/",
    "http://[fe80::1]/",
    "http://[64:ff9b::1]/"
  ].map(url),
  url("https://example.com/a\r\nb"),
  url(`https://example.com/${"x".repeat(8_192)}`),
  ...["Host", "Content-Length", "Transfer-Encoding", "Connection", "TE", "Trailer", "Upgrade", "Expect"].map((name) =>
    header(name)
  ),
  ...["Keep-Alive", "Proxy-Authorization", "proxy-x"].map((name) => header(name)),
  header("a b", CANARY, "a%20b"),
  header("", CANARY, ""),
  header("x-break", `a\r\n${CANARY}: b`),
  header("x-umlaut", "ü"),
  ...["2026-02-30T09:00:00Z", "2027-01-01T09:00:00", "2027-01-01", "2027-01-01 09:00:00Z", "2027-13-01T00:00:00Z"].map(
    dueAt
  ),
  ...[
    "2027-01-01T24:00:00Z",
    "2027-01-01T09:00:60Z",
    "+12027-01-01T00:00:00Z",
    "tomorrow",
    "",
    0,
    1_798_794_000,
    true
  ].map(dueAt),
  dueAt(ago(6)),
  dueAt("1970-01-01T00:00:00Z"),
  body("an empty key", { idempotencyKey: "" }, "/idempotencyKey"),
  body("a key with a blank", { idempotencyKey: "a b" }, "/idempotencyKey"),
  keyed("a long key in the header", "x".repeat(256)),
  keyed("a key with a blank in the header", "a b"),
  keyed("two keys that differ", "a", { idempotencyKey: CANARY }),
  ["a query on a submission", `${CALLS}?dryRun=${CANARY}`, json(good), 422, ["query #/dryRun"]],
  ["a tenant with a dot", callsOf("a.b"), json(good), 422, ["path #/tenantId"]],
  ["a tenant with a blank", callsOf("a%20b"), json(good), 422, ["path #/tenantId"]],
  ["a tenant with a line break", callsOf("a%0a"), json(good), 422, ["path #/tenantId"]],
  ["a long tenant", callsOf("x".repeat(65)), json(good), 422, ["path #/tenantId"]],
  ["a tenant with a slash", callsOf("a%2fb"), {}, 422, ["path #/tenantId"]],
  ["too much", CALLS, posted(`"${"x".repeat(CONTENT_BYTES_MAX)}"`), 413],
  ["too much, in pieces", CALLS, { ...posted(""), body: pieces(CONTENT_BYTES_MAX + 1) }, 413],
  ["more values than any body has", CALLS, posted(`[${"1,".repeat(500_000)}1]`), 422, ["body #"]],
  [
    "more fields than any body has",
    CALLS,
    json(Object.fromEntries(Array.from(Array(10_001).keys(), (n) => [n, n]))),
    422,
    ["body #"]
  ],
  ["a name longer than any field's", CALLS, json({ [CANARY.repeat(200)]: 1 }), 422, ["body #"]],
  ["deep nesting", CALLS, posted(`${"[".repeat(100_000)}${"]".repeat(100_000)}`), 422, [`body #${"/0".repeat(32)}`]],
  ["a wrong method on the list", CALLS, { method: "PUT" }, 405],
  ["a wrong method on a call", `${CALLS}/${UNKNOWN_ID}`, { method: "DELETE" }, 405],
  ["a wrong method on health", "/health/live", { method: "POST" }, 405],
  ["an unknown route", "/nothing", {}, 404],
  ["a route without the rest", `/api/tenants/${TENANT}`, {}, 404],
  ["an id that is none", `${CALLS}/17`, {}, 404],
  ["an id in upper case", `${CALLS}/${UNKNOWN_ID.toUpperCase()}`, {}, 404],
  ["an unknown id", `${CALLS}/${UNKNOWN_ID}`, {}, 404],
  ["an unknown id to cancel", `${CALLS}/${UNKNOWN_ID}/cancel`, { method: "POST" }, 404],
  ["an unknown id to tag", `${CALLS}/${UNKNOWN_ID}/tags`, { ...json({ tags: ["a"] }), method: "PUT" }, 404],
  ["no id to cancel", `${CALLS}/17/cancel`, { method: "POST" }, 404],
  ["a reason that is none", `${CALLS}/${UNKNOWN_ID}/cancel`, json({ reason: 7 }), 422, ["body #/reason"]],
  [
    "tags that are none",
    `${CALLS}/${UNKNOWN_ID}/tags`,
    { ...json({ tags: [7] }), method: "PUT" },
    422,
    ["body #/tags/0"]
  ],
  ["no tags", `${CALLS}/${UNKNOWN_ID}/tags`, { method: "PUT" }, 415],
  ["another site", CALLS, json(good, { origin: `https://${CANARY}.example` }), 403],
  ["a page without a site", CALLS, json(good, { origin: "null" }), 403],
  [
    "another site that cancels",
    `${CALLS}/${UNKNOWN_ID}/cancel`,
    { method: "POST", headers: { origin: "http://a" } },
    403
  ],
  query("limit=0", "limit"),
  query(Array.from({ length: 21 }, (_, n) => `tag=${n}`).join("&"), "tag"),
  query("status=Failed&status=Failed", "status"),
  query("limit=101", "limit"),
  query("limit=1.5", "limit"),
  query("limit=many", "limit"),
  query("limit=", "limit"),
  query("limit=1&limit=2", "limit"),
  query(`cursor=${CANARY}`, "cursor"),
  query(`cursor=${btoa(`1.${UNKNOWN_ID}x`)}`, "cursor"),
  query("status=Done", "status/0"),
  query("status=Failed&status=failed", "status/1"),
  query("from=2026-02-30T00:00:00Z", "from"),
  query("to=tomorrow", "to"),
  query("from=2026-01-01T00:00:00%2B99:00", "from"),
  query("tag=", "tag/0"),
  query(`page=${CANARY}`, "page"),
  query("limit=0&to=x&page=1", "limit", "to", "page"),
  queryOn("stats", `status=${CANARY}`, "status"),
  queryOn("stats", "limit=1", "limit"),
  queryOn("events", `lastEventId=${CANARY}`, "lastEventId"),
  queryOn("events", "status=Failed", "status"),
  queryOn("export", "limit=10", "limit"),
  queryOn("export", `cursor=${CANARY}&x=1`, "cursor", "x"),
  queryOn("export", "status=Done&from=tomorrow&tag=", "status/0", "from", "tag/0"),
  ["a tenant with a dot on stats", `${callsOf("a.b")}/stats`, {}, 422, ["path #/tenantId"]],
  ["a tenant with a dot on events", `${callsOf("a.b")}/events`, {}, 422, ["path #/tenantId"]],
  ["a tenant with a dot on export", `${callsOf("a.b")}/export`, {}, 422, ["path #/tenantId"]],
  body("a number as the call it repeats", { clonedFrom: 7 }, "/clonedFrom"),
  body("no id as the call it repeats", { clonedFrom: CANARY }, "/clonedFrom"),
  resend("an unknown id to repeat", { method: "POST" }, 404),
  resend("an unknown field of a repetition", json({ url: CANARY }), 422, "body #/url"),
  resend("a due time of a repetition that is none", json({ dueAt: CANARY }), 422, "body #/dueAt"),
  resend("an array as repetition", json([CANARY]), 422, "body #"),
  resend("half a repetition", posted(`{"dueAt": "${CANARY}`), 400),
  resend("a repetition as text", posted("{}", { "content-type": "text/plain" }), 415),
  resend("another site that repeats", json({}, { origin: "http://a" }), 403),
  ["a query on a repetition", `${CALLS}/${UNKNOWN_ID}/resend?x=1`, { method: "POST" }, 422, ["query #/x"]],
  ["a wrong method on stats", `${CALLS}/stats`, { method: "DELETE" }, 405],
  ["a wrong method on events", `${CALLS}/events`, { method: "POST" }, 405],
  ["a wrong method on export", `${CALLS}/export`, { method: "PUT" }, 405],
  ["a wrong method on resend", `${CALLS}/${UNKNOWN_ID}/resend`, {}, 405],
  ["a republication without a time", "/api/admin/republish", json({}), 422, ["body #/since"]],
  ["a republication since no time", "/api/admin/republish", json({ since: CANARY }), 422, ["body #/since"]],
  ["a republication without a broker", "/api/admin/republish", json({ since: "2026-01-01T00:00:00Z" }), 409],
  ["dead letters without number", "/api/admin/dead-letters?limit=x", {}, 422, ["query #/limit"]],
  ["a dead letter of nobody", "/api/admin/dead-letters/nobody/1/replay", { method: "POST" }, 422, ["path #/consumer"]],
  ["an unknown dead letter", "/api/admin/dead-letters/timer/1/replay", { method: "POST" }, 404],
  ["an unknown dead letter to discard", "/api/admin/dead-letters/timer/1", { method: "DELETE" }, 404]
]

/** A body whose length is not announced. */
function pieces(bytes: number): ReadableStream<Uint8Array> {
  let left = bytes
  return new ReadableStream({
    pull: (controller) => {
      const piece = new Uint8Array(Math.min(left, 65_536)).fill(0x20)
      left -= piece.byteLength
      if (piece.byteLength === 0) controller.close()
      else controller.enqueue(piece)
    }
  })
}
