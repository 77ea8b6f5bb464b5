import {
  credentialAfterScheme,
  credentialEnd,
  isSecretMember,
  isSecretParameter,
  mayEndSecretName,
  SHAPE_CHARACTERS_MIN
} from "./secret-shapes.ts"

/** A part of a text, from `start` up to `end`, that nobody should see. */
export interface Span {
  readonly start: number
  readonly end: number
  /** What to put on both sides of the mask: the quotes that a number needs, so that JSON stays JSON. */
  readonly quote?: string
}

/** The text with the parts masked. Those that overlap or touch get one mask. */
export const maskSpans = (text: string, spans: ReadonlyArray<Span>, mask: string): string => {
  if (spans.length === 0) return text
  let masked = ""
  let at = 0
  let open: Span | undefined
  const close = () => {
    if (open === undefined) return
    const { start, end, quote = "" } = open
    masked += text.slice(at, start) + quote + mask + quote
    at = end
  }
  for (const span of [...spans].sort((a, b) => a.start - b.start)) {
    if (open !== undefined && span.start <= open.end) {
      open = { start: open.start, end: Math.max(open.end, span.end) }
    } else {
      close()
      open = span
    }
  }
  close()
  return masked + text.slice(at)
}

/**
 * What looks secret in a text of whatever kind: values of secret-looking JSON members (also of JSON inside of JSON) and
 * form fields, credentials with a well-known form, after `Bearer` or `Basic`, or in a URL, and private keys. One pass;
 * the time is linear in the text, however hostile that is.
 *
 * @param isCut whether the text goes on: what then looks like the start of a credential at its end counts as one
 */
export const secretSpans = (text: string, isCut = false): ReadonlyArray<Span> => {
  const spans: Array<Span> = []
  const { length } = text
  for (let at = 0; at < length; ) {
    const code = text.charCodeAt(at)
    let found = NOTHING
    let next = at + 1
    if (isWord(code)) {
      while (next < length && isWord(text.charCodeAt(next))) next++
      // Most words are short, and a short one is followed at most by a credential.
      if (next - at >= SHAPE_CHARACTERS_MIN || (isCut && next === length)) found = inRun(text, at, next, isCut)
      else if ((code | 0x20) === LETTER_B && next - at <= "bearer".length) found = afterScheme(text, at, next, isCut)
      else if (next - at === PEM_BEGIN.length && text.startsWith(PEM_BEGIN, at)) found = privateKey(text, at)
    } else if (code === COLON) {
      found = text.startsWith("//", next) ? userInfo(text, next + 2) : afterColon(text, at)
    } else if (code === EQUALS) found = afterEquals(text, at)
    for (const span of found.spans) spans.push(span)
    at = Math.max(next, found.end)
  }
  return spans
}

interface Found {
  readonly spans: ReadonlyArray<Span>
  /** Where to go on. */
  readonly end: number
}

const NOTHING: Found = { spans: [], end: 0 }
const found = (start: number, end: number, quote = ""): Found =>
  start < end ? { spans: [{ start, end, quote }], end } : NOTHING

const COLON = 0x3a
const EQUALS = 0x3d
const BACKSLASH = 0x5c
const DASH = 0x2d
const DOT = 0x2e
const UNDERSCORE = 0x5f
const LETTER_B = 0x62
const DOUBLE_QUOTE = 0x22
const SINGLE_QUOTE = 0x27
/** Longer ones are no names. */
const NAME_CHARACTERS_MAX = 64
/** Blanks between a name, its colon and its value. */
const BLANKS_MAX = 8
const USER_INFO_CHARACTERS_MAX = 512
const PEM_BEGIN = "-----BEGIN"
const PEM_END = "-----END"
const PEM_KIND_CHARACTERS_MAX = 40

const classOf = (pattern: RegExp) =>
  Uint8Array.from({ length: 128 }, (_, code) => (pattern.test(String.fromCharCode(code)) ? 1 : 0))
const WORD = classOf(/[\w.-]/)
const FORM_NAME = classOf(/[\w.%[\]+-]/)
const USER_INFO = classOf(/[^\s/?#"'<>\\@]/)
const isIn = (members: Uint8Array, code: number): boolean => code < 128 && members[code] === 1
const isWord = (code: number): boolean => isIn(WORD, code)
const isBlank = (code: number): boolean => code === 0x20 || (code >= 0x09 && code <= 0x0d)

/** A well-known credential at the start of a word, or after one of its separators. */
const inRun = (text: string, start: number, end: number, isCut: boolean): Found => {
  // The n of an escaped line break is no part of the word.
  const isEscape = start > 0 && text.charCodeAt(start - 1) === BACKSLASH && /[bfnrt]/.test(text[start] ?? "")
  let isStart = true
  /** Where one JSON Web Token failed, so do all others before the next dot: each look reads up to there. */
  let noTokenBefore = 0
  for (let at = isEscape ? start + 1 : start; at < end; at++) {
    const isToken = isStart && text.startsWith("eyJ", at)
    if (isStart && !(isToken && at < noTokenBefore)) {
      const last = credentialEnd(text, at, isCut && end === text.length)
      if (last !== -1) return found(at, last)
      if (isToken) {
        const dot = text.slice(at, end).indexOf(".")
        noTokenBefore = dot === -1 ? end : at + dot
      }
    }
    const code = text.charCodeAt(at)
    isStart = code === DOT || code === DASH || code === UNDERSCORE
  }
  return NOTHING
}

const afterScheme = (text: string, start: number, end: number, isCut: boolean): Found => {
  const word = text.slice(start, end).toLowerCase()
  const scheme = word === "basic" || word === "bearer" ? word : undefined
  const from = scheme === undefined ? end : skipBlanks(text, end)
  if (scheme === undefined || from === end) return NOTHING
  return found(from, from + credentialAfterScheme(scheme, text.slice(from), isCut))
}

const privateKey = (text: string, start: number): Found => {
  const kind = text.slice(start + PEM_BEGIN.length, start + PEM_BEGIN.length + PEM_KIND_CHARACTERS_MAX)
  if (!/^[A-Z0-9 ]*PRIVATE KEY/.test(kind)) return NOTHING
  const last = text.indexOf(PEM_END, start)
  return found(start, last === -1 ? text.length : last)
}

/** User and password before the host of a URL. */
const userInfo = (text: string, start: number): Found => {
  const max = Math.min(text.length, start + USER_INFO_CHARACTERS_MAX)
  let end = start
  while (end < max && isIn(USER_INFO, text.charCodeAt(end))) end++
  return text[end] === "@" && text.slice(start, end).includes(":") ? found(start, end) : NOTHING
}

/** `"name": value` at whatever depth of JSON inside of JSON, and `Authorization: value`. */
const afterColon = (text: string, colon: number): Found => {
  const nameEnd = skipBlanksBack(text, colon)
  const code = text.charCodeAt(nameEnd - 1)
  if (code !== DOUBLE_QUOTE && code !== SINGLE_QUOTE) return headerLine(text, colon)
  const slashes = backslashesBefore(text, nameEnd - 1)
  const end = nameEnd - 1 - slashes
  if (end < 3 || !mayEndSecretName(text, end)) return NOTHING
  const quote = code === DOUBLE_QUOTE ? '"' : "'"
  const name = text.slice(Math.max(end - NAME_CHARACTERS_MAX, text.lastIndexOf(quote, end - 1) + 1), end)
  return isSecretMember(name) ? valueAt(text, skipBlanks(text, colon + 1), { quote, slashes }, name) : NOTHING
}

const HEADER = /^(?:(?:proxy-)?authorization|(?:set-)?cookie|x-[\w-]*(?:auth|key|secret|token))$/i
const headerLine = (text: string, colon: number): Found => {
  if (!mayEndSecretName(text, colon)) return NOTHING
  let from = colon
  while (from > 0 && from > colon - NAME_CHARACTERS_MAX && isWord(text.charCodeAt(from - 1))) from--
  if (colon - from < 5 || !HEADER.test(text.slice(from, colon))) return NOTHING
  return foundUntil(text, skipBlanks(text, colon + 1), /["'<\\\r\n]/g)
}

/** How strings are written at one depth of JSON inside of JSON: with 0, 1, 3, 7 … backslashes before each quote. */
interface Depth {
  readonly quote: string
  readonly slashes: number
}

const valueAt = (text: string, start: number, depth: Depth, name: string): Found => {
  const quotes = "\\".repeat(depth.slashes) + depth.quote
  if (text.startsWith(quotes, start)) {
    const from = start + quotes.length
    return found(from, stringEnd(text, from, depth))
  }
  const first = text[start]
  return first === "{" || first === "[" ? valuesIn(text, start, depth, name) : numberAt(text, start, depth, name)
}

/** Shorter numbers are counts. */
const NUMBER = /-?\d[\d.]{3,}/y
const numberAt = (text: string, start: number, { quote, slashes }: Depth, name: string): Found => {
  NUMBER.lastIndex = start
  const [digits] = NUMBER.exec(text) ?? []
  // Counts of tokens are no tokens.
  if (digits === undefined || /tokens?$/i.test(name)) return NOTHING
  return found(start, start + digits.length, "\\".repeat(slashes) + quote)
}

/** Every value inside of an array or object. */
const valuesIn = (text: string, start: number, depth: Depth, name: string): Found => {
  const spans: Array<Span> = []
  let open = 0
  let at = start
  while (at < text.length) {
    const char = text[at] ?? ""
    let next = at + 1
    if (char === "{" || char === "[") open++
    else if (char === "}" || char === "]") open--
    else if (char === depth.quote) {
      if (depth.slashes > 0 && backslashesBefore(text, at) < depth.slashes) break // an outer string ends
      const end = stringEnd(text, next, depth)
      const after = end + depth.slashes + 1
      const isName = text.charCodeAt(skipBlanks(text, after)) === COLON
      if (!isName) spans.push(...found(next, end).spans)
      next = after
    } else if (/\d/.test(char)) {
      while (/[\d.]/.test(text[next] ?? "")) next++
      spans.push(...numberAt(text, at, depth, name).spans)
    }
    at = next
    if (open === 0) break
  }
  return { spans, end: at }
}

/** Where the string that starts at `from` ends: before its closing quote and that one's backslashes. */
const stringEnd = (text: string, from: number, { quote, slashes }: Depth): number => {
  for (let at = text.indexOf(quote, from); at !== -1; at = text.indexOf(quote, at + 1)) {
    const backslashes = Math.min(backslashesBefore(text, at), at - from)
    // Fewer end an outer string; more escape the quote, or are escaped themselves.
    if (backslashes < slashes) return at - backslashes
    if (Math.floor((backslashes - slashes) / (slashes + 1)) % 2 === 0) return at - slashes
  }
  return text.length
}

/** `name=value` of forms, URLs and settings. */
const afterEquals = (text: string, equals: number): Found => {
  let from = equals
  while (from > 0 && from > equals - NAME_CHARACTERS_MAX && isIn(FORM_NAME, text.charCodeAt(from - 1))) from--
  const name = text.slice(from, equals).replace(/(?:\]|%5D)$/i, "")
  const isParameter = /[?&]/.test(text[from - 1] ?? "")
  const isSecret =
    (mayEndSecretName(name, name.length) && isSecretMember(name)) || (isParameter && isSecretParameter(name))
  if (!isSecret) return NOTHING
  const quote = text[equals + 1]
  if (quote === '"' || quote === "'") {
    return found(equals + 2, stringEnd(text, equals + 2, { quote, slashes: 0 }))
  }
  return quote === "=" || quote === ">" ? NOTHING : foundUntil(text, equals + 1, /[\s&;,"'<>)}\\]/g)
}

const foundUntil = (text: string, start: number, stop: RegExp): Found => {
  stop.lastIndex = start
  return found(start, stop.exec(text)?.index ?? text.length)
}

const skipBlanks = (text: string, from: number): number => {
  let at = from
  while (at < from + BLANKS_MAX && isBlank(text.charCodeAt(at))) at++
  return at
}

const skipBlanksBack = (text: string, to: number): number => {
  let at = to
  while (at > to - BLANKS_MAX && isBlank(text.charCodeAt(at - 1))) at--
  return at
}

const backslashesBefore = (text: string, at: number): number => {
  let from = at
  while (from > 0 && text.charCodeAt(from - 1) === BACKSLASH) from--
  return at - from
}
