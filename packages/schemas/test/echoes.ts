import fc from "fast-check"
import type { RequestSpec } from "../src/http-request.ts"

/** How a target may write what it repeats. */
export type Encoding = (text: string) => string

const inJson: Encoding = (text) => JSON.stringify(text).slice(1, -1)
const bytesOf = (text: string) => [...new TextEncoder().encode(text)]
const base64: Encoding = (text) => btoa(String.fromCharCode(...bytesOf(text)))
const forUrls: Encoding = (text) => text.replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "")
const percent: Encoding = (text) => bytesOf(text).map(percentByte).join("")
const percentByte = (byte: number) => `%${byte.toString(16).padStart(2, "0")}`
const form: Encoding = (text) => new URLSearchParams({ a: text }).toString().slice(2)
const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;"
}
const html: Encoding = (text) => text.replaceAll(/[&<>"']/g, (char) => ENTITIES[char] ?? char)
const entity = (unit: string) => `&#x${(unit.codePointAt(0) ?? 0).toString(16)};`

export const ENCODINGS: Readonly<Record<string, Encoding>> = {
  "as it is": (text) => text,
  "in JSON": inJson,
  "in JSON with escaped slashes": (text) => inJson(text).replaceAll("/", "\\/"),
  "in JSON, all escaped": (text) =>
    Array.from({ length: text.length }, (_, at) => `\\u${text.charCodeAt(at).toString(16).padStart(4, "0")}`).join(""),
  "in JSON inside of JSON": (text) => inJson(inJson(text)),
  "in JSON inside of JSON inside of JSON": (text) => inJson(inJson(inJson(text))),
  "percent-encoded": encodeURIComponent,
  "percent-encoded, all bytes in lower case": percent,
  "percent-encoded twice": (text) => encodeURIComponent(encodeURIComponent(text)),
  "in a form": form,
  "in a form inside of JSON": (text) => inJson(form(text)),
  "in JSON inside of a form": (text) => form(inJson(text)),
  "in HTML": html,
  "in HTML, all by number": (text) => Array.from(text, entity).join(""),
  "in JSON inside of HTML": (text) => html(inJson(text)),
  "in base64": base64,
  "in base64 for URLs": (text) => forUrls(base64(text)),
  "in base64 inside of JSON": (text) => base64(text).replaceAll("/", "\\/"),
  "in base64 inside of a form": (text) => form(base64(text)),
  "in JSON inside of base64": (text) => base64(inJson(text)),
  "in base64 with line breaks": (text) => base64("padding ".repeat(7) + text).replaceAll(/.{76}(?=.)/g, "$&\r\n")
}

/** A secret in base64 with other bytes around it, and the characters that it has there for itself. */
export const inBase64 = (secret: string, before: number, after: number, isForUrls: boolean) => {
  const bytes = bytesOf(secret)
  const filler = (length: number) => "y".repeat(length)
  const standard = btoa(filler(before) + String.fromCharCode(...bytes) + filler(after))
  const encoded = isForUrls ? forUrls(standard) : standard
  return { encoded, core: encoded.slice(Math.ceil((before * 4) / 3), Math.floor(((before + bytes.length) * 4) / 3)) }
}

/** Where in a request a secret may stand, and which can. */
export interface Place {
  readonly secrets: fc.Arbitrary<string>
  readonly request: (secret: string) => RequestSpec
}

/** What a header takes, without blanks at its ends, which do not arrive. */
const inHeader = fc.stringMatching(/^[!-~][ -~]{4,58}[!-~]$/)
const token = fc.stringMatching(/^[A-Za-z0-9._~+/-]{6,60}$/)
const anyText = fc.string({ unit: "grapheme", minLength: 6, maxLength: 60 }).filter((text) => text === text.trim())
const url = "https://example.com/hook"
const json = { "content-type": "application/json" }

export const PLACES: Readonly<Record<string, Place>> = {
  "a header that is not known": {
    secrets: inHeader,
    request: (secret) => ({ method: "GET", url, headers: { "X-Anything": secret } })
  },
  "a token": {
    secrets: token,
    request: (secret) => ({ method: "GET", url, headers: { authorization: `Bearer ${secret}` } })
  },
  "a password": {
    secrets: anyText.filter((text) => /^[ -~]+$/.test(text)),
    request: (secret) => ({ method: "GET", url, headers: { Authorization: `Basic ${base64(`me:${secret}`)}` } })
  },
  "a cookie": {
    secrets: token,
    request: (secret) => ({ method: "GET", url, headers: { Cookie: `theme=dark; id=${secret}; a=b` } })
  },
  "a parameter": {
    secrets: anyText,
    request: (secret) => ({ method: "GET", url: new URL(`${url}?a=1&api_key=${encodeURIComponent(secret)}&b=2`).href })
  },
  "a member of a JSON body": {
    secrets: anyText,
    request: (secret) => ({ method: "POST", url, headers: json, body: JSON.stringify({ a: 1, client_secret: secret }) })
  },
  "a field of a form": {
    secrets: anyText,
    request: (secret) => ({ method: "POST", url, body: `user=joe&password=${form(secret)}&n=1` })
  }
}
