import type { Random } from "../random.ts"

/** Stands in a value for a piece of JSON text that no value can be written as. */
const RAW = "\u{f8ff}"
const raw = (text: string): string => `${RAW}${text}${RAW}`

const nested = (depth: number, open: string, close: string): string =>
  raw(`${open.repeat(depth)}1${close.repeat(depth)}`)

const EVIL: ReadonlyArray<(random: Random) => unknown> = [
  () => null,
  () => true,
  () => 0,
  () => -1,
  () => 0.5,
  () => 2 ** 53,
  () => 1e308,
  (random) => raw(random.pick(["1e999", "-0", "-1e-999", "9".repeat(400), "1.0000000000000000000001", "1E+2"])),
  () => "",
  () => " ",
  () => "\u0000",
  () => "a\r\nb: c",
  (random) => raw(random.pick(['"\\ud800"', '"\\udfff\\ud800"', '"\\u0000"', '"a\\ud83d"'])),
  (random) => random.pick(["💥", "é\u0301", "\u202eabc", "\ufeff", "ﷺ", "\u2028"]).repeat(1 + random.int(40)),
  (random) => "x".repeat(random.pick([65, 201, 256, 8_193, 70_000])),
  (random) => random.pick(["__proto__", "constructor", "toString", "null", "NaN", "Infinity", "[object Object]"]),
  (random) =>
    random.pick(["'; DROP TABLE submissions; --", "../../etc/passwd", "%00", "{{7*7}}", "<script>alert(1)</script>"]),
  (random) =>
    random.pick(["2026-02-30T00:00:00Z", "0000-01-01T00:00:00Z", "9999-12-31T23:59:60Z", "-1", "1e3", "0x10"]),
  (random) =>
    random.pick(["http://[::1]/", "http://0/", "file:///etc/passwd", "http://a\u0000b/", "//x", "http://例え.テスト/"]),
  () => [],
  () => ({}),
  () => [[[[]]]],
  (random) => nested(random.pick([31, 33, 500]), "[", "]"),
  (random) => nested(random.pick([31, 33, 500]), '{"a":', "}"),
  (random) => Array.from({ length: random.pick([21, 101, 2_000]) }, (_, index) => index),
  (random) => Object.fromEntries(Array.from({ length: random.pick([101, 2_000]) }, (_, index) => [`k${index}`, "v"])),
  () => raw('{"__proto__":{"name":"x"},"constructor":{"prototype":{"name":"x"}}}'),
  () => raw('{"a":1,"a":2}')
]

const FIELDS = [
  "__proto__",
  "constructor",
  "hasOwnProperty",
  "",
  "\u0000",
  "a/b~c",
  "dueat",
  "tenantId",
  "status",
  "💥",
  "k".repeat(2_000)
]

/** The value with one to three things wrong in it: values swapped, left out or added, anywhere. */
export const mutateValue = (value: unknown, random: Random): unknown => {
  let mutated = value
  for (let times = 1 + random.int(3); times > 0; times--) mutated = mutateOnce(mutated, random)
  return mutated
}

const mutateOnce = (value: unknown, random: Random): unknown => {
  if (typeof value !== "object" || value === null || random.chance(0.15)) return random.pick(EVIL)(random)
  if (Array.isArray(value)) {
    if (value.length === 0 || random.chance(0.3)) return [...value, random.pick(EVIL)(random)]
    const place = random.int(value.length)
    return value.map((item, index) => (index === place ? mutateOnce(item, random) : item))
  }
  const entries = Object.entries(value)
  const place = random.int(entries.length + 1)
  if (place === entries.length)
    return Object.fromEntries([...entries, [random.pick(FIELDS), random.pick(EVIL)(random)]])
  return random.chance(0.2)
    ? Object.fromEntries(entries.filter((_, index) => index !== place))
    : Object.fromEntries(
        entries.map(([name, item], index) => [name, index === place ? mutateOnce(item, random) : item])
      )
}

/** The value as JSON, and what no value can be written as. */
export const toJsonText = (value: unknown): string =>
  (JSON.stringify(value) ?? "").replaceAll(new RegExp(`"${RAW}((?:[^"\\\\]|\\\\.)*)${RAW}"`, "g"), (_, inner: string) =>
    String(JSON.parse(`"${inner}"`))
  )

/** The text with bytes changed, cut, repeated or put in: hardly ever JSON any more, and sometimes still. */
export const mutateBytes = (bytes: Uint8Array, random: Random): Uint8Array => {
  const at = random.int(bytes.byteLength + 1)
  switch (random.int(6)) {
    case 0:
      return bytes.subarray(0, at)
    case 1: {
      const changed = Uint8Array.from(bytes)
      for (let flips = 1 + random.int(4); flips > 0; flips--) {
        const place = random.int(changed.byteLength || 1)
        changed[place] = (changed[place] ?? 0) ^ (1 << random.int(8))
      }
      return changed
    }
    case 2:
      return splice(bytes, at, bytes.subarray(random.int(at + 1), at))
    case 3:
      return splice(
        bytes,
        at,
        Uint8Array.from({ length: 1 + random.int(4) }, () => random.int(256))
      )
    case 4:
      return splice(bytes, at, new TextEncoder().encode(random.pick(FRAGMENTS)))
    default:
      return Buffer.concat([bytes.subarray(at), bytes.subarray(0, at)])
  }
}

const FRAGMENTS = [
  '"name":"again",',
  "{",
  "}",
  "[",
  '"',
  "\\u0000",
  "\\ud800",
  "\u0000",
  ",",
  ":",
  "/*x*/",
  "'",
  "NaN",
  "\ufeff",
  "1e5"
]

const splice = (bytes: Uint8Array, at: number, piece: Uint8Array): Uint8Array =>
  Buffer.concat([bytes.subarray(0, at), piece, bytes.subarray(at)])
