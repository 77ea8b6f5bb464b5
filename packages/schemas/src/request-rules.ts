import { JsonPointer } from "effect"
import { HEADERS_MAX, type RequestSpec, URL_CHARACTERS_MAX } from "./http-request.ts"

/** A rule that a request breaks: where, as a JSON pointer into the `RequestSpec`, and what to do about it. */
export interface RequestProblem {
  readonly pointer: string
  /** Holds no value of the request. */
  readonly detail: string
}

/**
 * What keeps the request from being sent exactly as it is written; empty when nothing does. Where it may go is the
 * egress policy's to judge.
 *
 * @param url the request's URL, from whoever has parsed it already; `null` when it cannot be
 */
export const requestProblems = (
  spec: RequestSpec,
  url: URL | null = URL.parse(spec.url)
): ReadonlyArray<RequestProblem> => [
  ...urlProblems(spec.url, url?.href),
  ...headersProblems(Object.entries(spec.headers ?? {})),
  ...bodyProblems(spec)
]

/** Set by the HTTP client alone: they frame the message or belong to the connection. */
const RESERVED_HEADER =
  /^(host|content-length|transfer-encoding|connection|te|trailer|upgrade|expect|keep-alive|proxy-.*)$/
/** RFC 9110, section 5.6.2. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const HEADER_VALUE = /^[\t\x20-\x7e]*$/
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it finds
const CONTROL_CHARACTER = /[\x00-\x1f\x7f]/

const urlProblems = (text: string, href = text): ReadonlyArray<RequestProblem> => {
  const pointer = "/url"
  // A URL parser drops line breaks in silence.
  if (CONTROL_CHARACTER.test(text)) return [{ pointer, detail: "Has a control character or a line break: remove it" }]
  const { length } = href
  if (length <= URL_CHARACTERS_MAX) return []
  return [{ pointer, detail: `Has ${length} characters as sent, expected at most ${URL_CHARACTERS_MAX}` }]
}

const headersProblems = (headers: ReadonlyArray<readonly [string, string]>): ReadonlyArray<RequestProblem> => {
  const problems: Array<RequestProblem> = []
  if (headers.length > HEADERS_MAX) {
    problems.push({ pointer: "/headers", detail: `Has ${headers.length} headers, expected at most ${HEADERS_MAX}` })
  }
  const names = new Set<string>()
  for (const [name, value] of headers.slice(0, HEADERS_MAX)) {
    const lower = name.toLowerCase()
    const problem = (detail: string) => problems.push({ pointer: `/headers/${JsonPointer.escapeToken(name)}`, detail })
    if (!TOKEN.test(name)) problem("Is no header name: use letters, digits and !#$%&'*+-.^_`|~")
    else if (RESERVED_HEADER.test(lower)) problem("Is set by the service itself: leave it out")
    else if (names.has(lower)) problem("Is given twice, in different letter case: give it once")
    if (!HEADER_VALUE.test(value)) problem("Has a value with characters other than visible ASCII, blanks and tabs")
    names.add(lower)
  }
  return problems
}

const bodyProblems = ({ method, body }: RequestSpec): ReadonlyArray<RequestProblem> => {
  if (body === undefined) return []
  const pointer = "/body"
  if ((method === "GET" || method === "HEAD") && body !== "") {
    return [{ pointer, detail: `Is not sent with ${method}: leave it out, or use POST` }]
  }
  return body.isWellFormed() ? [] : [{ pointer, detail: "Has half of a surrogate pair, which UTF-8 cannot encode" }]
}
