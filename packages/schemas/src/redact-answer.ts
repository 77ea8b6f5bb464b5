import { echoFinder, type FindEcho } from "./echo.ts"
import type { RequestSpec } from "./http-request.ts"
import { BODY_SNIPPET_BYTES_MAX, RESPONSE_HEADER_CHARACTERS_MAX } from "./outcome.ts"
import { isHeaderShown, MASK, redactUrl } from "./redaction.ts"
import { SECRET_CHARACTERS_MIN, secretsOf } from "./request-secrets.ts"
import { maskSpans, secretSpans } from "./secret-spans.ts"

/** An answer as it came, as far as it was kept. */
export interface RawAnswer {
  readonly headers: ReadonlyArray<readonly [name: string, value: string]>
  /** The start of the body as text. */
  readonly body: string
  /** Whether the body goes on. */
  readonly isCut: boolean
}

/**
 * What people may see of an answer: of the headers the harmless ones, of the body at most `BODY_SNIPPET_BYTES_MAX`
 * bytes, and in both neither what looks secret nor what the target repeats of the request's secrets (`secretsOf`),
 * however it escapes or encodes them. What else it repeats is shown. Of a request with too many secrets to look for,
 * nothing is.
 */
export const redactAnswer = (
  request: RequestSpec,
  { headers, body, isCut }: RawAnswer
): { readonly headers: Readonly<Record<string, string>>; readonly bodySnippet: string } => {
  const secrets = secretsOf(request)
  const findEcho = secrets === undefined ? undefined : echoFinder(secrets)
  if (secrets === undefined || findEcho === undefined) {
    return { headers: Object.fromEntries(headers.map(([name]) => [name.toLowerCase(), MASK])), bodySnippet: MASK }
  }
  const lowerSecrets = secrets.map((secret) => secret.toLowerCase())
  const isSecretName = (name: string) => lowerSecrets.some((secret) => name.includes(secret))
  const shown = headers.map(([name, value]) => {
    const lower = name.toLowerCase()
    if (!isHeaderShown(lower)) return [isSecretName(lower) ? MASK : lower, MASK] as const
    return [lower, scrubHeader(lower, value, findEcho)] as const
  })
  const snippet = maskSpans(body, findEcho(body, isCut).concat(secretSpans(body, isCut)), MASK)
  return { headers: Object.fromEntries(shown), bodySnippet: cutToBytes(snippet, BODY_SNIPPET_BYTES_MAX) }
}

const scrubHeader = (name: string, value: string, findEcho: FindEcho): string => {
  if (value.length < SECRET_CHARACTERS_MIN) return value
  const isCut = value.length >= RESPONSE_HEADER_CHARACTERS_MAX
  const echoed = findEcho(value, isCut)
  return name === "location"
    ? redactUrl(maskSpans(value, echoed, encodeURIComponent(MASK)))
    : maskSpans(value, echoed.concat(secretSpans(value, isCut)), MASK)
}

const cutToBytes = (text: string, bytesMax: number): string => {
  // No character takes more than three bytes for each of its code units.
  if (text.length * 3 <= bytesMax) return text
  return text.slice(0, new TextEncoder().encodeInto(text, new Uint8Array(bytesMax)).read)
}
