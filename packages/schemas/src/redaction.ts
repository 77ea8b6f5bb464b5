import { decodePercent } from "./escapes.ts"
import { isSecretParameter, looksRandom } from "./secret-shapes.ts"
import { maskSpans, type Span, secretSpans } from "./secret-spans.ts"

export const MASK = "[redacted]"
const MASK_IN_URL = encodeURIComponent(MASK)

/** Header values that are shown unless they look secret; every other one is masked. */
const HEADERS_SHOWN = new Set([
  "accept",
  "accept-encoding",
  "accept-language",
  "allow",
  "cache-control",
  "content-encoding",
  "content-language",
  "content-length",
  "content-type",
  "date",
  "etag",
  "expires",
  "idempotency-key",
  "if-match",
  "if-modified-since",
  "if-none-match",
  "last-modified",
  "location",
  "prefer",
  "retry-after",
  "server",
  "traceparent",
  "user-agent",
  "vary",
  "x-correlation-id",
  "x-request-id",
  "x-requested-with"
])

/** @param name in lower case */
export const isHeaderShown = (name: string): boolean => HEADERS_SHOWN.has(name)

/** Header names in lower case, values masked unless the name is on the list of harmless ones and the value is, too. */
export const redactHeaders = (headers: Iterable<readonly [string, string]>): Record<string, string> => {
  const redacted: Array<readonly [string, string]> = []
  for (const [name, value] of headers) {
    const lower = name.toLowerCase()
    redacted.push([lower, isHeaderShown(lower) ? redactHeaderValue(lower, value) : MASK])
  }
  return Object.fromEntries(redacted)
}

export const redactHeaderValue = (name: string, value: string): string =>
  name === "location" ? redactUrl(value) : redactText(value)

/** The text with all that looks secret masked; see `secretSpans`. */
export const redactText = (text: string): string => maskSpans(text, secretSpans(text), MASK)

/**
 * The URL without user information and fragment, and with the values masked of query parameters and path segments that
 * are secret by their name or their look. Takes relative ones, too.
 */
export const redactUrl = (text: string): string => {
  const url = splitUrl(URL.parse(text)?.href ?? text)
  return url.origin + maskSpans(url.rest, urlSpans(url.rest), MASK_IN_URL)
}

/** A URL in pieces: what is shown, and what is not. */
interface SplitUrl {
  /** Scheme and host; empty for a relative URL. */
  readonly origin: string
  /** Path and query. */
  readonly rest: string
  readonly userInfo: string
  readonly fragment: string
}

/** @param href absolute in its normal form, or relative */
export const splitUrl = (href: string): SplitUrl => {
  const hash = href.indexOf("#")
  const [, scheme = "", authority = "", rest = ""] =
    /^([a-z][a-z0-9+.-]*:(?:\/\/)?|[/\\]{2})?([^/\\?]*)(.*)$/is.exec(hash === -1 ? href : href.slice(0, hash)) ?? []
  const isRelative = scheme === ""
  const at = isRelative ? -1 : authority.lastIndexOf("@")
  return {
    origin: isRelative ? "" : scheme + authority.slice(at + 1),
    rest: isRelative ? authority + rest : rest,
    userInfo: at === -1 ? "" : authority.slice(0, at),
    fragment: hash === -1 ? "" : href.slice(hash + 1)
  }
}

/** What to mask in path and query. */
export const urlSpans = (rest: string): ReadonlyArray<Span> => {
  const query = rest.indexOf("?")
  const spans: Array<Span> = []
  let start = 0
  for (let at = 0; at <= rest.length; at++) {
    const code = rest.charCodeAt(at)
    const isInQuery = query !== -1 && at > query
    const isSeparator = isInQuery ? code === AMPERSAND : code === SLASH || code === SEMICOLON || at === query
    if (!isSeparator && at < rest.length) continue
    const part = rest.slice(start, at)
    // Most parts are too short to hold a secret without a name.
    if (part.length >= UNNAMED_CHARACTERS_MIN || part.includes("=")) spans.push(...partSpans(part, start))
    start = at + 1
  }
  return [...webhookSpans(rest), ...spans]
}

const AMPERSAND = 0x26
const SLASH = 0x2f
const SEMICOLON = 0x3b
const UNNAMED_CHARACTERS_MIN = 12

/** @param part a path segment, a path parameter or a query parameter, which starts at `start` */
const partSpans = (part: string, start: number): ReadonlyArray<Span> => {
  const end = start + part.length
  const equals = part.indexOf("=")
  const name = decodePercent(equals === -1 ? part : part.slice(0, equals))
  if (looksSecret(name)) return [{ start, end }]
  const from = start + equals + 1
  if (equals === -1 || from === end) return []
  return isSecretParameter(name) || looksSecret(decodePercent(part.slice(equals + 1))) ? [{ start: from, end }] : []
}

const looksSecret = (text: string): boolean =>
  text.length >= UNNAMED_CHARACTERS_MIN && (looksRandom(text) || secretSpans(text.replaceAll("+", " ")).length > 0)

/** Addresses that let everybody in who knows them: of Slack and of Telegram. Others end in long random text. */
const WEBHOOK = /^\/services\/T\w+\/B\w+\/(\w+)|^\/bot(\d+(?::|%3A)[\w-]+)/i

const webhookSpans = (rest: string): ReadonlyArray<Span> => {
  const [whole, slack, telegram] = WEBHOOK.exec(rest) ?? []
  if (whole === undefined) return []
  return [{ start: whole.length - (slack ?? telegram ?? "").length, end: whole.length }]
}
