import { createHash, randomBytes } from "node:crypto"
import { KeyId } from "./scope.ts"

export const KEY_ID_CHARACTERS = 12
export const SECRET_BYTES = 32
/** Of base62, as many as 32 bytes need. */
const SECRET_CHARACTERS = 43

const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
const KEY = /^esa_([0-9A-Za-z]{12})_([0-9A-Za-z]{43})$/
const BEARER = /^bearer +(\S+)$/i

/** A key as its holder has it: `esa_<id>_<secret>`. */
export interface WholeKey {
  readonly keyId: KeyId
  readonly secret: string
}

/** @returns a key that nobody has */
export const newKey = (): WholeKey => ({
  keyId: KeyId.make(inBase62(randomBytes(KEY_ID_CHARACTERS), KEY_ID_CHARACTERS)),
  secret: inBase62(randomBytes(SECRET_BYTES), SECRET_CHARACTERS)
})

export const formatKey = ({ keyId, secret }: WholeKey): string => `esa_${keyId}_${secret}`

/** `undefined` for what has not the form of a key. */
export const parseKey = (text: string): WholeKey | undefined => {
  const [, keyId, secret] = KEY.exec(text) ?? []
  return keyId === undefined || secret === undefined ? undefined : { keyId: KeyId.make(keyId), secret }
}

/** The token of an Authorization header. */
export const bearerOf = (header: string | undefined): string | undefined => BEARER.exec(header ?? "")?.[1]

/** What is stored of a secret. It has 256 random bits, so that nothing slower is needed. */
export const hashOf = (secret: string): Uint8Array => createHash("sha256").update(secret).digest()

/** The last so many digits of the number that the bytes are. */
const inBase62 = (bytes: Buffer, length: number): string => {
  let rest = BigInt(`0x${bytes.toString("hex")}`)
  let text = ""
  while (text.length < length) {
    text = DIGITS.charAt(Number(rest % 62n)) + text
    rest /= 62n
  }
  return text
}
