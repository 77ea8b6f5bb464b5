import type { Random } from "../random.ts"
import type { Contract, JsonSchema } from "./contract-document.ts"

/** Texts that stand for a kind of thing: one of them fits most patterns. */
const WORDS = ["a", "nightly report", "billing", "x-1", "Ünïcödé 💥", "0", "key_17", "MTAuYWJj", "~!-._/", "text/plain"]
const TRIES = 200

/** What a schema lets through, at random. */
export type Generate = (schema: JsonSchema, name: string) => unknown

/** @param texts for the fields and parameters of these names, whatever their schema says */
export const makeGenerate = (
  random: Random,
  { schemas }: Contract,
  texts: ReadonlyMap<string, ReadonlyArray<string>>
): Generate => {
  const generate: Generate = (schema, name) => {
    const known = texts.get(name)
    if (known !== undefined) return random.pick(known)
    if (schema.$ref !== undefined)
      return generate(schemas[schema.$ref.replace("#/components/schemas/", "")] ?? {}, name)
    if (schema.enum !== undefined) return random.pick(schema.enum)
    if (schema.anyOf !== undefined) return generate(random.pick(schema.anyOf), name)
    const { minimum = 0, maximum = 1_000 } = schema
    switch (schema.type) {
      case "string":
        return generateText(schema, random)
      case "integer":
      case "number":
        return minimum + random.int(Math.min(maximum - minimum + 1, 2 ** 31))
      case "boolean":
        return random.chance(0.5)
      case "array":
        return generateArray(schema, name, generate, random)
      case "object":
        return generateObject(schema, generate, random)
      default:
        return null
    }
  }
  return generate
}

const generateArray = (
  { maxItems = 4, items = {}, uniqueItems }: JsonSchema,
  name: string,
  generate: Generate,
  random: Random
): ReadonlyArray<unknown> => {
  const values = Array.from({ length: random.int(Math.min(maxItems, 4) + 1) }, () => generate(items, name))
  return uniqueItems === true ? [...new Set(values)] : values
}

const generateObject = (
  { properties = {}, required = [], additionalProperties }: JsonSchema,
  generate: Generate,
  random: Random
): object => {
  const fields = Object.entries(properties)
    .filter(([name]) => required.includes(name) || random.chance(0.4))
    .map(([name, schema]) => [name, generate(schema, name)])
  const others =
    typeof additionalProperties === "object"
      ? Array.from({ length: random.int(4) }, (_, index) => [`x-name-${index}`, generate(additionalProperties, "")])
      : []
  return Object.fromEntries([...fields, ...others])
}

const generateText = ({ pattern, format }: JsonSchema, random: Random): string => {
  if (format === "date-time") return generateTime(random)
  const rule = new RegExp(pattern ?? "", "u")
  for (let tries = 0; tries < TRIES; tries++) {
    const text = random.pick([() => random.pick(WORDS), () => generateWord(random), () => generateUuid(random)])()
    if (rule.test(text)) return text
  }
  throw new Error(`found no text for the pattern ${pattern}`)
}

const generateTime = (random: Random): string =>
  random.pick(["2999-01-01T00:00:00Z", "2400-02-29T23:59:59.999+05:30", "9999-12-31T23:59:59Z", "2999-12-31t01:02:03z"])

const generateWord = (random: Random): string =>
  Array.from({ length: 1 + random.int(20) }, () => String.fromCharCode(97 + random.int(26))).join("")

export const generateUuid = (random: Random): string => {
  const digits = Array.from({ length: 32 }, () => random.int(16).toString(16))
  digits[12] = "7"
  digits[16] = random.pick(["8", "9", "a", "b"])
  const text = digits.join("")
  return [text.slice(0, 8), text.slice(8, 12), text.slice(12, 16), text.slice(16, 20), text.slice(20)].join("-")
}
