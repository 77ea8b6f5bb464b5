import type { Span } from "./secret-spans.ts"

/** A text with its escapes resolved once. */
export interface Unescaped {
  readonly text: string
  /** Where a part of it stands in the text before. */
  readonly toOrigin: (span: Span) => Span
}

/**
 * Who writes escapes; `any` resolves those of all at once, as they stand inside of each other. The line breaks inside
 * of base64 go with those of JSON.
 */
export type Escaping = "json" | "url" | "html" | "any"

const JSON_ESCAPE = "\\\\(?:u[0-9a-f]{4}|x[0-9a-f]{2}|[\"'\\\\/bfnrt])"
const URL_ESCAPE =
  "%[0-7][0-9a-f]|%[cd][0-9a-f]%[89ab][0-9a-f]|%e[0-9a-f](?:%[89ab][0-9a-f]){2}|%f[0-7](?:%[89ab][0-9a-f]){3}|\\+"
const HTML_ESCAPE = "&(?:#\\d{1,7}|#x[0-9a-f]{1,6}|amp|apos|gt|lt|quot);"
const WRAP = "\\r?\\n(?=[A-Za-z0-9+/])(?<=[A-Za-z0-9+/]{60}\\r?\\n)"
const ESCAPES: Readonly<Record<Escaping, RegExp>> = {
  json: new RegExp(`${JSON_ESCAPE}|${WRAP}`, "gi"),
  url: new RegExp(URL_ESCAPE, "gi"),
  html: new RegExp(HTML_ESCAPE, "gi"),
  any: new RegExp([JSON_ESCAPE, URL_ESCAPE, HTML_ESCAPE].join("|"), "gi")
}
/** An escape that the end of the text cuts off. */
const CUT_ESCAPE =
  /(?:\\(?:u[0-9a-f]{0,3}|x[0-9a-f]?)?|%(?:[0-9a-f]?|[c-f][0-9a-f](?:%[89ab][0-9a-f]){0,2}%?[89ab]?)|&[#a-z0-9]{0,8})$/i
const MAY_HAVE_ESCAPE = /[\\%&+\n]/

/**
 * The ways of escaping to look at a text with: `any`, and each one that it shows beside others. Line breaks count, those
 * that are escaped, too.
 */
export const escapingsOf = (text: string): ReadonlyArray<Escaping> => {
  if (!MAY_HAVE_ESCAPE.test(text)) return []
  const shown: Array<Escaping> = []
  if (/[\\\n]/.test(text)) shown.push("json")
  if (/[%+]/.test(text)) shown.push("url")
  if (text.includes("&")) shown.push("html")
  return shown.length > 1 || /\n|\\n/.test(text) ? ["any", ...shown] : ["any"]
}

/**
 * Resolves the escapes of a text once. `undefined` when there are none.
 *
 * @param isCut whether the text goes on: then an unfinished escape at its end counts as nothing
 */
export const resolveEscapes = (text: string, escaping: Escaping, isCut: boolean): Unescaped | undefined => {
  if (!MAY_HAVE_ESCAPE.test(text)) return undefined
  const pattern = ESCAPES[escaping]
  const cutAt = isCut ? (CUT_ESCAPE.exec(text.slice(-12))?.[0].length ?? 0) : 0
  const whole = cutAt === 0 ? text : text.slice(0, -cutAt)
  const escapes: Array<Escape> = []
  let unescaped = ""
  let at = 0
  pattern.lastIndex = 0
  for (let match = pattern.exec(whole); match !== null; match = pattern.exec(whole)) {
    unescaped += whole.slice(at, match.index)
    const start = unescaped.length
    unescaped += meaningOf(match[0])
    at = match.index + match[0].length
    escapes.push({ start, end: unescaped.length, originStart: match.index, originEnd: at })
  }
  if (at === 0 && cutAt === 0) return undefined
  unescaped += whole.slice(at)

  const lastFrom = (index: number): Escape | undefined => {
    let low = 0
    let high = escapes.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((escapes[middle]?.start ?? 0) <= index) low = middle + 1
      else high = middle
    }
    return escapes[low - 1]
  }
  const startOf = (index: number): number => {
    const before = lastFrom(index)
    if (before === undefined) return index
    return index < before.end ? before.originStart : before.originEnd + index - before.end
  }
  const endOf = (index: number): number => {
    if (index === unescaped.length) return text.length
    const before = lastFrom(index - 1)
    if (before === undefined) return index
    return index <= before.end ? before.originEnd : before.originEnd + index - before.end
  }
  return { text: unescaped, toOrigin: ({ start, end }) => ({ start: startOf(start), end: endOf(end) }) }
}

interface Escape {
  /** Where its meaning stands. */
  readonly start: number
  readonly end: number
  readonly originStart: number
  readonly originEnd: number
}

const MEANINGS: Readonly<Record<string, string>> = {
  "\\b": "\b",
  "\\f": "\f",
  "\\n": "\n",
  "\\r": "\r",
  "\\t": "\t",
  "&amp;": "&",
  "&apos;": "'",
  "&gt;": ">",
  "&lt;": "<",
  "&quot;": '"',
  "+": " "
}

const meaningOf = (code: string): string => {
  const known = MEANINGS[code]
  if (known !== undefined) return known
  switch (code[0]) {
    case "\\":
      return code.length === 2 ? code.slice(1) : character(code.slice(2), 16)
    case "&":
      return /^&#x/i.test(code) ? character(code.slice(3, -1), 16) : character(code.slice(2, -1), 10)
    case "%":
      return decodePercent(code)
    default:
      return ""
  }
}

const character = (digits: string, radix: 10 | 16): string => {
  const code = Number.parseInt(digits, radix)
  return code <= 0x10_ff_ff ? String.fromCodePoint(code) : ""
}

/** What cannot be decoded as UTF-8 stays as it is, but for ASCII. */
export const decodePercent = (text: string): string => {
  if (!text.includes("%")) return text
  try {
    return decodeURIComponent(text)
  } catch {
    return text.replaceAll(/%([0-7][0-9a-f])/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
  }
}
