import type { Submission } from "../client.ts"
import type { Arrival } from "../counting-target.ts"
import type { Needles } from "./files.ts"

/** Every secret starts with it, whatever else it says about where it was put. */
export const CANARY = "c4nary"

const base64 = (text: string) => Buffer.from(text).toString("base64")
const forUrls = (text: string) => Buffer.from(text).toString("base64url")

/** The characters of base64 that the text has for itself, in each way that it can lie there. */
const inBase64 = (text: string): ReadonlyArray<string> =>
  ["", "y", "yy"].map((before) =>
    base64(before + text).slice(Math.ceil((before.length * 4) / 3), Math.floor(((before + text).length * 4) / 3))
  )

const percent = Array.from(CANARY, (char) => `%${char.charCodeAt(0).toString(16)}`).join("")

/** The canary in all the forms in which it might get somewhere. */
export const CANARIES: Needles = new Map(
  [
    ["as it is", [CANARY]],
    ["in base64", inBase64(CANARY)],
    ["in base64 of base64", inBase64(CANARY).flatMap(inBase64)],
    ["in percent", [percent, percent.toUpperCase()]],
    ["in hex", [Buffer.from(CANARY).toString("hex")]],
    ["in UTF-16", [Buffer.from(CANARY, "utf16le").toString("latin1")]]
  ].map(([name, forms]) => [String(name), [...(forms ?? [])].map((form) => Buffer.from(form, "latin1"))])
)

/** What a target sends back: all that it got, in many forms, with the status that the path asks for. */
export const echo = ({ method, path, headers, body }: Arrival): Response => {
  const all = { method, path, headers: Object.fromEntries(headers), body }
  const text = JSON.stringify(all)
  const authorization = headers.get("authorization") ?? ""
  const padding = Number(/padding=(\d+)/.exec(path)?.[1] ?? 0)
  const echoed = [
    " ".repeat(padding),
    text,
    JSON.stringify(text),
    base64(text),
    forUrls(text),
    encodeURIComponent(text)
  ]
  return new Response(echoed.join("\n"), {
    status: Number(/status=(\d+)/.exec(path)?.[1] ?? 200),
    headers: {
      etag: `"${authorization}"`,
      location: path,
      server: `echo (${base64(authorization)})`,
      "x-request-id": headers.get("x-other") ?? "",
      "set-cookie": headers.get("cookie") ?? ""
    }
  })
}

/** Requests with a secret in every place that can hold one. Each kind is submitted many times. */
export const requestsWithSecrets = (target: string, closed: string, number: number): ReadonlyArray<Submission> => {
  const secret = (place: string) => `${CANARY}-${place}-${number}/+="$`
  const word = (place: string) => `${CANARY}${place}${String(number).padStart(8, "0")}`
  const query = (fields: Readonly<Record<string, string>>) => new URLSearchParams(fields).toString()
  const headers = {
    Authorization: `Bearer ${word("token")}`,
    "X-Other": secret("header"),
    Cookie: `theme=dark; id=${word("cookie")}`,
    "User-Agent": `tool sk_live_${word("agent")}`,
    "X-Number": String(number)
  }
  const url = `${target}/hook/sk_live_${word("path")}?${query({ token: secret("query"), ref: `ghp_${word("ref")}${"a1".repeat(8)}`, n: "1" })}`
  const json = JSON.stringify({ order: number, password: secret("json"), card: { cvv: secret("nested") } })
  const form = query({ user: "joe", client_secret: secret("form"), n: "1" })
  const basic = { Authorization: `Basic ${base64(`${word("user")}:${secret("password")}`)}` }
  const name = `call ${number}`
  return [
    { name, requestSpec: { method: "GET", url: `${url}&echo`, headers } },
    { name, requestSpec: { method: "POST", url: `${url}&echo`, headers, body: json } },
    { name, requestSpec: { method: "PUT", url: `${target}/?echo`, headers: basic, body: form }, onUnknown: "resend" },
    { name, requestSpec: { method: "POST", url: `${url}&echo&status=500`, headers, body: json } },
    { name, requestSpec: { method: "POST", url: `${url}&echo&status=302`, headers: basic, body: form } },
    // The end of the snippet, within the echo
    {
      name,
      requestSpec: { method: "POST", url: `${target}/?echo&padding=${7_000 + number * 29}`, headers, body: json }
    },
    // Bodies are nobody's business, unless the target repeats them.
    { name, requestSpec: { method: "POST", url, headers, body: secret("body").repeat(1 + (number % 5) * 500) } },
    { name, requestSpec: { method: "POST", url, headers, body: json }, keepRequest: true },
    { name, requestSpec: { method: "PATCH", url, headers: basic, body: secret("body") }, dueAt: soon(number) },
    { name, requestSpec: { method: "POST", url: `${url}&silent`, headers, body: secret("body") }, timeoutMs: 200 },
    { name, requestSpec: { method: "POST", url: url.replace(target, closed), headers, body: secret("body") } },
    { name: "to cancel", requestSpec: { method: "POST", url, headers, body: json }, dueAt: "2999-01-01T00:00:00Z" }
  ]
}

/** A request that is under way for long. */
export const lastingWithSecrets = (target: string): Submission => ({
  name: "lasting",
  timeoutMs: 60_000,
  requestSpec: { method: "POST", url: `${target}/lasting?token=${CANARY}&silent`, body: CANARY }
})

const soon = (number: number): string => new Date(Date.now() + 500 + number * 20).toISOString()

/** Submissions that are refused, with secrets in them. */
export const refusedWithSecrets = (number: number): ReadonlyArray<RequestInit> => {
  const secret = (place: string) => `${CANARY}-${place}-${number}`
  const request = { method: "POST", url: "https://example.com/", headers: { authorization: secret("header") } }
  const json = (body: unknown, headers = {}) => ({
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body)
  })
  return [
    json({ name: "a", requestSpec: { ...request, url: `https://me:${secret("userinfo")}@example.com/` } }),
    json({ name: "a", requestSpec: { ...request, url: `http://127.0.0.1:9/?token=${secret("query")}` } }),
    json({ name: "a", requestSpec: { ...request, url: `no url ${secret("url")}` } }),
    json({ name: "a", requestSpec: { ...request, body: { password: secret("body") } } }),
    json({ name: "a", requestSpec: { ...request, method: secret("method") } }),
    json({ name: "a", requestSpec: { ...request, headers: { "x-a": `${secret("header")}\n`, "x-b": "\u00e4" } } }),
    json({ name: "a", requestSpec: { ...request, method: "GET", body: secret("body") } }),
    json({ name: "a", requestSpec: request, dueAt: secret("due") }),
    json({ name: "a", requestSpec: request, timeoutMs: secret("timeout"), onUnknown: secret("unknown") }),
    json({ name: `a\n${secret("name")}`, requestSpec: request, tags: [`${secret("tag")}\n`] }),
    json({ name: "a", requestSpec: request, extra: secret("extra"), keepRequest: secret("keep") }),
    json({ name: "a", requestSpec: request, idempotencyKey: `${secret("key")} with blanks` }),
    json({ name: "a", requestSpec: request }, { "idempotency-key": `${secret("key")} with blanks` }),
    json({ requestSpec: secret("spec") }),
    json([secret("array")]),
    json(`{"name":"${secret("malformed")}",`),
    json(`"${secret("text")}"`),
    json({ name: "a", requestSpec: { ...request, body: secret("large").repeat(100_000) } }),
    { ...json({ name: "a", requestSpec: request }), headers: { "content-type": "text/plain" } },
    json({ name: "a", requestSpec: request }, { "content-encoding": "gzip" }),
    json({ name: "a", requestSpec: request }, { origin: `https://${secret("origin")}.example.com` })
  ]
}
