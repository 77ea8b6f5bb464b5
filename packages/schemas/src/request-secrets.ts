import { decodePercent } from "./escapes.ts"
import type { RequestSpec } from "./http-request.ts"
import { isHeaderShown, splitUrl, urlSpans } from "./redaction.ts"
import { decodeBase64, isSecretParameter } from "./secret-shapes.ts"
import { secretSpans } from "./secret-spans.ts"

/** Shorter values are not looked for in answers: they stand in ordinary text, too, and masking them would destroy it. */
export const SECRET_CHARACTERS_MIN = 6
/** Of a request with more secrets, no answer is shown. */
export const SECRETS_MAX = 64

/**
 * What of a request is to be kept secret and may come back in the answer: the values of masked headers, of cookies and
 * of masked parts of the URL; of credentials what follows the scheme, and user and password; of the body what looks
 * secret. The rest of the body is no secret here: people submit calls to see what comes back. Each has at least
 * `SECRET_CHARACTERS_MIN` characters; `undefined` when there are more than `SECRETS_MAX`.
 */
export const secretsOf = (spec: RequestSpec): ReadonlyArray<string> | undefined => {
  const secrets = new Set<string>()
  const add = (value: string) => {
    const secret = value.trim()
    if (secret.length >= SECRET_CHARACTERS_MIN && secrets.size <= SECRETS_MAX) secrets.add(secret)
  }
  const addBothForms = (part: string) => {
    add(part)
    add(decodePercent(part))
  }
  const addSecretParts = (text: string) => {
    for (const { start, end } of secretSpans(text)) add(text.slice(start, end))
  }

  for (const [name, value] of Object.entries(spec.headers ?? {})) {
    const lower = name.toLowerCase()
    if (lower === "cookie") for (const cookie of value.split(";")) addBothForms(cookie.slice(cookie.indexOf("=") + 1))
    else if (isHeaderShown(lower)) addSecretParts(value)
    else if (isSecretParameter(lower)) addCredentials(value, add)
    else add(value)
  }

  const { rest, userInfo } = splitUrl(spec.url)
  for (const { start, end } of urlSpans(rest)) addBothForms(rest.slice(start, end))
  for (const part of userInfo.split(":")) addBothForms(part)

  if (spec.body !== undefined) addSecretParts(spec.body)
  return secrets.size > SECRETS_MAX ? undefined : [...secrets]
}

/** `Authorization` and its like: a bare value, one after a scheme, or parameters. */
const addCredentials = (value: string, add: (secret: string) => void): void => {
  const [, scheme = "", rest = value] = /^\s*([A-Za-z][A-Za-z0-9-]*)\s+(\S.*)$/.exec(value) ?? []
  add(rest)
  if (/=[^=]/.test(rest)) {
    for (const [, name = "", quoted, bare] of rest.matchAll(PARAMETER)) {
      if (isSecretParameter(name) || /^(username|response|opaque)$/i.test(name)) add(quoted ?? bare ?? "")
    }
  }
  if (scheme.toLowerCase() !== "basic") return
  const pair = decodeBase64(rest.trim())
  const user = pair.split(":", 1)[0] ?? ""
  const password = pair.slice(user.length + 1)
  // A user or password that is too short to be looked for alone is found with the other one.
  if (Math.min(user.length, password.length) < SECRET_CHARACTERS_MIN) add(pair)
  add(user)
  add(password)
}

const PARAMETER = /([\w-]{1,64})=(?:"([^"]{1,1024})"|([^\s,;"]{1,1024}))/g
