import { escapingsOf, resolveEscapes, type Unescaped } from "./escapes.ts"
import type { Span } from "./secret-spans.ts"

/**
 * Where a text repeats secrets.
 *
 * @param isCut whether the text goes on: then the first characters of a secret at its end count, from the fourth on
 */
export type FindEcho = (text: string, isCut: boolean) => ReadonlyArray<Span>

/** Escapes inside of escapes that are seen through, the secret's own included. */
const DEPTH_MAX = 3
/** A usual secret makes 4 to 13. With more to look for, no answer is shown: the search would take too long. */
const NEEDLES_MAX = 512
/** Characters of a secret that are looked for at once; what follows is compared. Bounds the time of the search. */
const PROBE_CHARACTERS = 64
/** Of what is longer in a secret, and all after it, nothing is shown. */
const SECRET_CHARACTERS_MAX = 2_048
const CUT_CHARACTERS_MIN = 4

/**
 * A finder for these secrets as they are, escaped for JSON, URLs, forms or HTML, in base64 of both alphabets, alone or
 * within more, and each of these inside of the others. Hexadecimal secrets are found in either letter case.
 * `undefined` when there is too much to look for.
 */
export const echoFinder = (secrets: ReadonlyArray<string>): FindEcho | undefined => {
  if (secrets.length === 0) return () => []
  const needles = needlesOf(secrets)
  if (needles.length > NEEDLES_MAX) return undefined
  const shortest = needles.reduce((length, { text }) => Math.min(length, text.length), SECRET_CHARACTERS_MAX)
  const hexNeedles = needles
    .filter(({ text }) => HEX.test(text))
    .map(({ text, goesOn }) => ({ text: text.toLowerCase(), goesOn }))
  const findIn = (text: string, isCut: boolean, toOrigin: (span: Span) => Span, found: Array<Span>): void => {
    for (const needle of needles) findAll(text, needle, isCut, toOrigin, found)
    if (hexNeedles.length === 0) return
    const lower = lowerCase(text)
    for (const needle of hexNeedles) findAll(lower, needle, isCut, toOrigin, found)
  }
  return (text, isCut) => {
    const spans: Array<Span> = []
    // No escape is shorter than what it stands for.
    if (text.length < shortest && !isCut) return spans
    const whole: Unescaped = { text, toOrigin: (span) => span }
    findIn(text, isCut, whole.toOrigin, spans)
    for (const escaping of escapingsOf(text)) {
      let layer = whole
      for (let depth = 0; depth < DEPTH_MAX; depth++) {
        const { toOrigin } = layer
        const next = resolveEscapes(layer.text, escaping, isCut)
        if (next === undefined) break
        layer = { text: next.text, toOrigin: (span) => toOrigin(next.toOrigin(span)) }
        findIn(layer.text, isCut, layer.toOrigin, spans)
      }
    }
    return spans
  }
}

/** What is looked for. */
interface Needle {
  readonly text: string
  /** It is only the start of a secret. */
  readonly goesOn: boolean
}

const needlesOf = (secrets: ReadonlyArray<string>): ReadonlyArray<Needle> => {
  const needles = new Map<string, Needle>()
  for (const secret of secrets) {
    const goesOn = secret.length > SECRET_CHARACTERS_MAX
    const start = goesOn ? secret.slice(0, SECRET_CHARACTERS_MAX).replace(/[\ud800-\udbff]$/, "") : secret
    const add = (text: string) => needles.set(text, { text, goesOn })
    for (const form of formsOf(start)) {
      add(form)
      addBase64(form, add)
      const inJson = JSON.stringify(form).slice(1, -1)
      if (inJson !== form) addBase64(inJson, add)
    }
  }
  return [...needles.values()]
}

const HEX = /^(?=.*[a-f])[0-9a-f-]+$/i

/** In lower case, with every character at its place: a few letters have a longer form there. */
const lowerCase = (text: string): string => {
  const lower = text.toLowerCase()
  return lower.length === text.length ? lower : text.replaceAll(/[A-Z]+/g, (letters) => letters.toLowerCase())
}

/** A secret and what it becomes when its own escapes are resolved. */
const formsOf = (secret: string): ReadonlyArray<string> => {
  const forms = [secret]
  for (const escaping of escapingsOf(secret)) {
    let form = resolveEscapes(secret, escaping, false)?.text
    for (let depth = 0; depth < DEPTH_MAX && form !== undefined && form.length >= CUT_CHARACTERS_MIN; depth++) {
      forms.push(form)
      form = resolveEscapes(form, escaping, false)?.text
    }
  }
  return forms
}

/**
 * Adds the characters of base64 that depend on the secret alone, for each of the three ways in which it can lie in what
 * is encoded.
 */
const addBase64 = (secret: string, add: (needle: string) => void): void => {
  const bytes = toBinary(secret)
  for (let before = 0; before < 3; before++) {
    const encoded = btoa(BEFORE[before] + bytes)
    const core = encoded.slice(Math.ceil((before * 8) / 6), Math.floor(((before + bytes.length) * 8) / 6))
    add(core)
    if (core.includes("+") || core.includes("/")) add(core.replaceAll("+", "-").replaceAll("/", "_"))
  }
}
const BEFORE = ["", "\0", "\0\0"] as const

/** UTF-8, one character for each byte. */
const toBinary = (text: string): string => {
  if (/^[\0-\x7f]*$/.test(text)) return text
  return Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte)).join("")
}

const findAll = (
  text: string,
  { text: needle, goesOn }: Needle,
  isCut: boolean,
  toOrigin: (span: Span) => Span,
  found: Array<Span>
): void => {
  const isLong = needle.length > PROBE_CHARACTERS
  const probe = isLong ? needle.slice(0, PROBE_CHARACTERS) : needle
  for (let start = text.indexOf(probe); start !== -1; ) {
    let end = start + probe.length
    // Of a longer secret as much as is there: it may be cut off.
    while (isLong && end - start < needle.length && text.charCodeAt(end) === needle.charCodeAt(end - start)) end++
    if (goesOn && end - start === needle.length) end = text.length
    found.push(toOrigin({ start, end }))
    start = text.indexOf(probe, end)
  }
  if (!isCut) return
  const overlap = overlapOf(text, probe)
  if (overlap >= CUT_CHARACTERS_MIN) found.push(toOrigin({ start: text.length - overlap, end: text.length }))
}

/** How many of the needle's first characters, but not all, are the last ones of the text. */
const overlapOf = (text: string, needle: string): number => {
  // The search of Knuth, Morris and Pratt: linear, whatever repeats itself.
  const fallback = [0]
  let matched = 0
  for (let at = 1; at < needle.length; at++) {
    while (matched > 0 && needle[at] !== needle[matched]) matched = fallback[matched - 1] ?? 0
    if (needle[at] === needle[matched]) matched++
    fallback.push(matched)
  }
  matched = 0
  for (let at = Math.max(0, text.length - needle.length + 1); at < text.length; at++) {
    while (matched > 0 && text[at] !== needle[matched]) matched = fallback[matched - 1] ?? 0
    if (text[at] === needle[matched]) matched++
  }
  return matched
}
