import { Random } from "../random.ts"
import type { Contract, Operation, Parameter } from "./contract-document.ts"
import { generateUuid, makeGenerate } from "./generate-value.ts"
import { mutateRequest } from "./mutate-request.ts"
import { toJsonText } from "./mutate-value.ts"
import type { WireRequest } from "./wire.ts"

/** What a request is made of. All of it goes over the wire as it is. */
export interface Parts {
  readonly method: string
  /** Path and query. */
  readonly target: string
  readonly headers: ReadonlyArray<readonly [string, string]>
  /** As `body` was before it became bytes. */
  readonly value: unknown
  readonly body: Uint8Array | undefined
  readonly isChunked: boolean
}

export interface GeneratedRequest extends WireRequest {
  readonly operation: Operation
  /** Nothing is wrong with it, as far as the document says. */
  readonly isValid: boolean
  /** More than the service takes: it may close the connection before the answer has come through. */
  readonly isTooLarge: boolean
  /** The beginning, for people. */
  readonly text: string
}

/** What there is to ask for. */
export interface Material {
  readonly contract: Contract
  readonly tenants: ReadonlyArray<string>
  /** Of calls that there are, of any of the tenants. */
  readonly serviceCallIds: ReadonlyArray<string>
  /** Numbers of messages that are dead letters. */
  readonly letters: ReadonlyArray<number>
  readonly keyIds: ReadonlyArray<string>
  /** What a call may be sent to. */
  readonly targetUrl: string
}

const VALID_SHARE = 0.3
const CONTENT_BYTES_MAX = 1_048_576
const TEXT_CHARACTERS = 2_000
const KEYS = Array.from({ length: 300 }, (_, index) => `key-${index}`)

/** The request of this number in the run of this seed: always the same one. */
export const generateRequest = (seed: number, number: number, material: Material): GeneratedRequest => {
  const random = new Random(seed, number)
  const operation = random.pick(byWeight(material.contract))
  const isValid = random.chance(VALID_SHARE)
  const valid = generateParts(operation, random, material)
  const parts = isValid ? valid : mutateRequest(valid, random)
  const bytes = toBytes(parts)
  return {
    bytes,
    isHead: parts.method === "HEAD",
    operation,
    isValid,
    isTooLarge: (parts.body?.byteLength ?? 0) > CONTENT_BYTES_MAX,
    text: Buffer.from(bytes).toString("latin1", 0, TEXT_CHARACTERS)
  }
}

/** Each operation once for itself and for all that it reads: there is more to get wrong. */
const byWeight = ({ operations, schemas }: Contract): ReadonlyArray<Operation> =>
  operations.flatMap((operation) => {
    const { $ref = "", properties = schemas[$ref.replace("#/components/schemas/", "")]?.properties ?? {} } =
      operation.body?.schema ?? {}
    return Array<Operation>(1 + operation.parameters.length + Object.keys(properties).length).fill(operation)
  })

const generateParts = (operation: Operation, random: Random, material: Material): Parts => {
  const generate = makeGenerate(random, material.contract, textsOf(random, material))
  const used = operation.parameters.filter((parameter) => parameter.required || random.chance(0.4))
  const textOf = (parameter: Parameter): ReadonlyArray<string> =>
    [generate(parameter.schema, parameter.name)].flat().map(String)
  const place = (where: Parameter["in"]) => used.filter((parameter) => parameter.in === where)
  const path = place("path").reduce(
    (template, parameter) => template.replace(`{${parameter.name}}`, encodeURIComponent(textOf(parameter).join())),
    operation.path
  )
  const query = place("query").flatMap((parameter) =>
    textOf(parameter).map((text) => `${parameter.name}=${encodeURIComponent(text)}`)
  )
  const { body } = operation
  const isSent = body !== undefined && (body.isRequired || random.chance(0.5))
  const value = isSent ? generate(body.schema, "") : undefined
  return {
    method: operation.method,
    target: path + (query.length === 0 ? "" : `?${query.join("&")}`),
    headers: [
      ...place("header").map((parameter) => [parameter.name, textOf(parameter).join()] as const),
      ...(isSent ? [["content-type", "application/json"] as const] : [])
    ],
    value,
    body: isSent ? new TextEncoder().encode(toJsonText(value)) : undefined,
    isChunked: random.chance(0.05)
  }
}

const textsOf = (random: Random, { tenants, serviceCallIds, letters, keyIds, targetUrl }: Material) =>
  new Map([
    ["tenantId", tenants],
    // Few, so that some are used again.
    ["idempotencyKey", KEYS],
    ["idempotency-key", KEYS],
    ["serviceCallId", [...serviceCallIds, generateUuid(random)]],
    ["seq", ["999999999", ...letters.map(String)]],
    ["keyId", ["000000000000", ...keyIds]],
    ["url", [targetUrl, `${targetUrl}/a?b=c#d`]],
    ["body", ["", '{"a":1}', "Ünïcödé 💥", "x".repeat(1_000)]],
    ["cursor", [Buffer.from(`${Date.UTC(2030)}.${generateUuid(random)}`).toString("base64url")]]
  ])

const CRLF = "\r\n"

const toBytes = ({ method, target, headers, body, isChunked }: Parts): Uint8Array => {
  const framing: ReadonlyArray<readonly [string, string]> =
    body === undefined
      ? []
      : isChunked
        ? [["transfer-encoding", "chunked"]]
        : [["content-length", String(body.byteLength)]]
  const lines = [["host", "localhost"], ...headers, ...framing].map(([name, value]) => `${name}: ${value}${CRLF}`)
  const head = Buffer.from(`${method} ${target} HTTP/1.1${CRLF}${lines.join("")}${CRLF}`)
  if (body === undefined) return head
  if (!isChunked) return Buffer.concat([head, body])
  const half = body.byteLength >> 1
  const chunks = [body.subarray(0, half), body.subarray(half)].filter((chunk) => chunk.byteLength > 0)
  const framed = chunks.flatMap((chunk) => [
    Buffer.from(chunk.byteLength.toString(16) + CRLF),
    chunk,
    Buffer.from(CRLF)
  ])
  return Buffer.concat([head, ...framed, Buffer.from(`0${CRLF}${CRLF}`)])
}
