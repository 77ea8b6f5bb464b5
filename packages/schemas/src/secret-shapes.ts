/**
 * Whether the value of this header, query parameter or form field of a URL counts as secret. Broad: what is masked
 * there by mistake costs little.
 */
export const isSecretParameter = (name: string): boolean => SECRET_PARAMETER.test(name)

/** Whether the value of this member of a document counts as secret. Narrow: documents are what people came to read. */
export const isSecretMember = (name: string): boolean => SECRET_MEMBER.test(name)

/** Whether a name that ends here may be secret as a parameter or member: a quick look that spares most the expressions. */
export const mayEndSecretName = (text: string, end: number): boolean => {
  const last = text.charCodeAt(end - 1)
  if (last < 0x41) return true
  return LAST_LETTERS.has(tripleOf(text.charCodeAt(end - 3), text.charCodeAt(end - 2), last))
}
const tripleOf = (a: number, b: number, c: number): number => ((a | 0x20) << 16) | ((b | 0x20) << 8) | (c | 0x20)
const LAST_LETTERS = new Set(
  "ken ens ret ets ord swd ase ode pwd jwt rer ial als kie ies ure mac ash lue irm ion key nse nid _id -id .id sid uth ass pin otp cvv cvc"
    .split(" ")
    .map((last) => tripleOf(last.charCodeAt(0), last.charCodeAt(1), last.charCodeAt(2)))
)

/** Tokens that say where a list goes on are no secrets. */
const NO_PAGE = "(?<!(change|continuation|next|page|sync)[-_. ]?)"

const SECRET_PARAMETER = new RegExp(
  [
    // Not author, authors, authority.
    "auth(?!or(?!i[sz]))",
    `${NO_PAGE}token(?![-_]?type)|secret|pwd|jwt|bearer|assertion|signature|hmac|credential|session|sessid|cookie|ticket|saml|[cx]srf`,
    // Not bypass, compass, passage, passed, passenger, passing, passive.
    "(?<!by|com)pass(?!ag|ed|eng|ing|iv)",
    "(^|[-_.])key$|apikey|(access|account|encryption|function|master|private|shared|signing|subscription)[-_.]?key",
    "^(pw|sig|code|otp|totp|pin|cvv|cvc|k)$"
  ].join("|"),
  "i"
)

const SECRET_MEMBER = new RegExp(
  [
    `(${NO_PAGE}tokens?|secrets?|password|passwd|passphrase|passcode|pwd|jwt|bearer|credentials?|cookies?|signature|hmac)$`,
    "(password|passwd|secret|token)[-_. ]?(hash|value|confirm(ation)?|\\d)$",
    "(access|account|api|encryption|master|private|secret|session|shared|signing|subscription)[-_. ]?key$",
    "(authori[sz]ation|assertion|samlresponse|session[-_. ]?id|sessid)$",
    "^(auth|pass|pin|otp|totp|cvv|cvc)$"
  ].join("|"),
  "i"
)

/** A credential that is known by its first characters: those, what may follow, and how many of it there are at least. */
type Shape = readonly [prefix: string, follows: string, min: number]

const SHAPES: ReadonlyArray<Shape> = [
  // Ours
  ["esa_\\w{12}_", "\\w", 16],
  // Stripe
  ["(?:sk|rk)_(?:live|test|prod)_", "\\w", 8],
  ["whsec_", "\\w", 16],
  // GitHub, GitLab
  ["gh[oprsu]_", "\\w", 20],
  ["github_pat_", "\\w", 20],
  ["gl(?:agent|cbt|dt|ft|imt|oas|pat|ptt|rt|soat)-", "[\\w-]", 16],
  // Slack
  ["xox[a-z]-", "[\\w-]", 10],
  ["xapp-", "[\\w-]", 10],
  // Amazon, with the key's name; its secret half has no form of its own
  ["(?:AKIA|ASIA)", "[A-Z0-9]", 16],
  // Google
  ["AIza", "[\\w-]", 30],
  ["ya29\\.", "[\\w-]", 16],
  ["GOCSPX-", "[\\w-]", 16],
  // Models
  ["sk-(?:admin|ant|or|proj|svcacct)-", "[\\w-]", 16],
  ["sk-", "[A-Za-z0-9]", 32],
  ["hf_", "[A-Za-z0-9]", 30],
  // Registries, mail, shops, clouds
  ["npm_", "\\w", 30],
  ["pypi-", "[\\w-]", 16],
  ["SG\\.", "[\\w-]{16,}\\.[\\w-]", 16],
  ["SK", "[0-9a-f]", 32],
  ["shp(?:at|ca|pa|ss)_", "[A-Fa-f0-9]", 24],
  ["sq0[a-z]{3}-", "[\\w-]", 20],
  ["do[opr]_v1_", "\\w", 32],
  ["dapi", "[0-9a-f]", 32],
  ["hv[bsr]\\.", "[\\w-]", 20],
  // A JSON Web Token: three or more parts, the first of which starts with {"
  ["eyJ[\\w-]{8,}\\.[\\w-]{8,}\\.", "[\\w.-]", 0]
]

const WHOLE = new RegExp(SHAPES.map(([prefix, rest, min]) => `${prefix}${rest}{${min},}`).join("|"), "y")
/** The same, cut off by the end of the text. */
const CUT = new RegExp(
  `(?:${[...SHAPES, ["eyJ", "[\\w.-]", 0] as const]
    .map(([prefix, rest]) => `${prefix}${rest.slice(rest.lastIndexOf("["))}{4,}`)
    .join("|")})$`,
  "y"
)
/** No shape is shorter. */
export const SHAPE_CHARACTERS_MIN = 16
const pairOf = (first: number, second: number): number => (first << 8) | second
/** The first two characters of all shapes: a quick look that spares most words the expressions. */
const FIRST_PAIRS = new Set(
  "es sk rk wh gh gi gl xo xa AK AS AI ya GO hf np py SG SK sh sq do da hv ey"
    .split(" ")
    .map((pair) => pairOf(pair.charCodeAt(0), pair.charCodeAt(1)))
)

/**
 * Where a well-known credential ends that starts here; -1 if none does.
 *
 * @param isCut whether the text goes on, and one may be cut off by its end
 */
export const credentialEnd = (text: string, start: number, isCut: boolean): number => {
  if (!FIRST_PAIRS.has(pairOf(text.charCodeAt(start), text.charCodeAt(start + 1)))) return -1
  for (const shape of isCut ? [WHOLE, CUT] : [WHOLE]) {
    shape.lastIndex = start
    if (shape.test(text)) return shape.lastIndex
  }
  return -1
}

/** The characters after `Bearer ` or `Basic ` that are a credential; 0 when a sentence goes on there. */
export const credentialAfterScheme = (scheme: "basic" | "bearer", rest: string, isCut: boolean): number => {
  const [value = ""] = /^[A-Za-z0-9._~+/=-]+/.exec(rest) ?? []
  if (scheme === "bearer") return value.length >= 8 && (/\d/.test(value) || value.length >= 24) ? value.length : 0
  const isPair = /^[A-Za-z0-9+/_-]{6,}={0,2}$/.test(value) && decodeBase64(value).includes(":")
  return isPair || (isCut && value.length >= 4 && value.length === rest.length) ? value.length : 0
}

/** Bytes as characters; empty for what is no base64. */
export const decodeBase64 = (text: string): string => {
  try {
    return atob(text.replaceAll("-", "+").replaceAll("_", "/").replace(/=+$/, ""))
  } catch {
    return ""
  }
}

const UUID = /[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}/gi
/** Shorter ones are too often ids: of objects, commits, traces. */
const RANDOM_CHARACTERS_MIN = 32
const HEX_DIGITS_MAX = 40

/**
 * Whether a part of a URL looks like a long random credential. UUIDs, numbers, hashes up to SHA-1 and words, in
 * whatever way they are joined, do not.
 */
export const looksRandom = (value: string): boolean => {
  if (value.length < RANDOM_CHARACTERS_MIN || !/^[A-Za-z0-9+/_=.~-]+$/.test(value)) return false
  const text = value.replaceAll(UUID, "")
  if (text.length < RANDOM_CHARACTERS_MIN || !/[A-Za-z]/.test(text)) return false
  if (/^[0-9A-Fa-f-]+$/.test(text)) return text.replaceAll("-", "").length > HEX_DIGITS_MAX
  let [lower, upper, digits, changes, before] = [0, 0, 0, 0, 0]
  for (let at = 0; at < text.length; at++) {
    const kind = kindOf(text.charCodeAt(at))
    if (kind === LOWER) lower++
    else if (kind === UPPER) upper++
    else if (kind === DIGIT) digits++
    if (kind !== 0 && before !== 0 && kind !== before) changes++
    before = kind
  }
  // Joined words change their kind once a word, random text at every second character.
  const changing = changes / text.length
  if (lower > 0 && upper > 0) return digits >= 2 && changing >= 0.45
  return digits / text.length >= 0.15 && changing >= 0.3
}

const LOWER = 1
const UPPER = 2
const DIGIT = 3

const kindOf = (code: number): number => {
  if (code >= 97 && code <= 122) return LOWER
  if (code >= 65 && code <= 90) return UPPER
  return code >= 48 && code <= 57 ? DIGIT : 0
}
