import { Effect, JsonPointer, Result, type Schema, SchemaIssue } from "effect"
import type { HttpServerRequest } from "effect/http"
import { Visit } from "./gate.ts"
import {
  ContentTooLarge,
  type FieldError,
  InvalidRequest,
  MalformedJson,
  NotJson,
  type Overloaded,
  UNKNOWN_FIELD
} from "./problem.ts"

export const CONTENT_BYTES_MAX = 1_048_576
export const JSON_DEPTH_MAX = 32
/** Values of a document, whatever they are in: far above what any body here needs, far below what takes long. */
export const JSON_VALUES_MAX = 10_000
/** Characters of a name in a document: as long as any header's. */
export const JSON_NAME_CHARACTERS_MAX = 1_024
/** Wrong fields that one answer lists. */
export const FIELD_ERRORS_MAX = 100

const utf8 = new TextDecoder("utf-8", { fatal: true })

/** Reads a JSON body. What it gives back is safe to walk: not deep, no `__proto__`, no broken text. */
export const readJson = (request: HttpServerRequest.HttpServerRequest, options?: { readonly whenEmpty: unknown }) =>
  Effect.flatMap(readBytes(request), (bytes) => {
    if (bytes.byteLength === 0 && options !== undefined) return Effect.succeed(options.whenEmpty)
    const read = parseJson(request.headers, bytes)
    return Result.isSuccess(read) ? Effect.succeed(read.success) : Effect.fail(read.failure)
  })

const parseJson = (
  headers: HttpServerRequest.HttpServerRequest["headers"],
  bytes: Uint8Array
): Result.Result<unknown, NotJson | MalformedJson | InvalidRequest> => {
  if (mediaType(headers["content-type"]) !== "application/json") {
    return Result.fail(new NotJson({ detail: "Send the header Content-Type: application/json" }))
  }
  if ((headers["content-encoding"] ?? "identity") !== "identity") {
    return Result.fail(new NotJson({ detail: "Send the body as it is, without Content-Encoding" }))
  }
  let value: unknown
  try {
    value = JSON.parse(utf8.decode(bytes))
  } catch {
    const detail = bytes.byteLength === 0 ? "The body is empty" : "The body is not valid JSON in UTF-8"
    return Result.fail(new MalformedJson({ detail }))
  }
  const errors = unsafeParts(value)
  return errors.length > 0 ? Result.fail(invalid(errors)) : Result.succeed(value)
}

/** @returns an `InvalidRequest` with one entry for each field: what was found first */
export const invalid = (errors: ReadonlyArray<FieldError>): InvalidRequest => {
  const byField = new Map<string, FieldError>()
  for (const error of errors) {
    if (byField.size === FIELD_ERRORS_MAX) break
    const field = `${error.in} ${error.pointer}`
    if (!byField.has(field)) byField.set(field, error)
  }
  return new InvalidRequest({ detail: "Correct what is listed in errors", errors: [...byField.values()] })
}

const formatIssue = SchemaIssue.makeFormatterStandardSchemaV1({
  leafHook: (issue) =>
    issue._tag === "UnexpectedKey"
      ? UNKNOWN_FIELD
      : issue._tag === "MissingKey"
        ? "This is required"
        : SchemaIssue.defaultLeafHook(issue)
})

/** A schema's complaints, field by field. */
export const fieldErrors = (place: FieldError["in"], error: Schema.SchemaError): ReadonlyArray<FieldError> =>
  formatIssue(error.issue).issues.map((issue) => ({
    in: place,
    pointer: pointerTo((issue.path ?? []).map((part) => (typeof part === "object" ? part.key : part))),
    // The values of a query are text, unless a parameter is repeated.
    detail: place === "query" ? inQuery(issue.message) : issue.message
  }))

const inQuery = (message: string): string => {
  if (message === "Expected string") return "Give this once"
  return message.includes("RFC 3339") ? `${message}; in a query, write + as %2B` : message
}

const pointerTo = (path: ReadonlyArray<PropertyKey>): string =>
  fragment(path.map((part) => `/${JsonPointer.escapeToken(String(part))}`).join(""))

/** A JSON pointer in the form for a URI's fragment. */
export const fragment = (pointer: string): string =>
  `#${pointer.toWellFormed().split("/").map(encodeURIComponent).join("/")}`

const readBytes = (
  request: HttpServerRequest.HttpServerRequest
): Effect.Effect<Uint8Array, ContentTooLarge | MalformedJson | Overloaded, Visit> => {
  const { source, headers } = request
  if (!(source instanceof Request)) return Effect.die("the request did not come through a web server")
  const announced = headers["transfer-encoding"] === undefined ? Number(headers["content-length"] ?? 0) : undefined
  if (announced === 0) return Effect.succeed(new Uint8Array())
  if (announced === undefined) {
    return Visit.use((visit) =>
      Effect.filterOrFail(
        visit.receive(0, (keepRoom) => readUpTo(CONTENT_BYTES_MAX, source.body, keepRoom)),
        (bytes) => bytes !== undefined,
        tooLarge
      )
    )
  }
  if (announced > CONTENT_BYTES_MAX) return Effect.suspend(() => Effect.fail(tooLarge()))
  return Visit.use((visit) => visit.receive(announced, () => source.bytes()))
}

const tooLarge = () => new ContentTooLarge({ detail: `At most ${CONTENT_BYTES_MAX} bytes are taken` })

/** Reads a body that did not announce its length; `undefined` when it has more than `bytesMax`. */
const readUpTo = async (
  bytesMax: number,
  body: ReadableStream<Uint8Array> | null,
  keepRoom: (bytes: number) => void
): Promise<Uint8Array | undefined> => {
  const chunks: Array<Uint8Array> = []
  let bytes = 0
  for await (const chunk of body ?? []) {
    bytes += chunk.byteLength
    if (bytes > bytesMax) return undefined
    keepRoom(bytes)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

const mediaType = (header: string | undefined): string => (header?.split(";")[0] ?? "").trim().toLowerCase()

/** What no schema should have to look at. It gives up soon: a body may hold a million of it. */
const unsafeParts = (body: unknown): ReadonlyArray<FieldError> => {
  const errors: Array<FieldError> = []
  const path: Array<PropertyKey> = []
  let values = 0
  const refuse = (detail: string) => errors.push({ in: "body", pointer: pointerTo(path), detail })
  const isEnough = () => errors.length === FIELD_ERRORS_MAX || values > JSON_VALUES_MAX
  const visit = (value: unknown): void => {
    values++
    if (typeof value === "string" && !value.isWellFormed()) refuse("This text has half a surrogate pair")
    if (typeof value !== "object" || value === null) return
    if (path.length === JSON_DEPTH_MAX) {
      refuse(`Nested deeper than ${JSON_DEPTH_MAX} levels`)
      return
    }
    // One name at a time, where `Object.entries` would make them all.
    for (const key in value) {
      if (isEnough()) return
      if (key.length > JSON_NAME_CHARACTERS_MAX) {
        refuse(`Has a name of more than ${JSON_NAME_CHARACTERS_MAX} characters`)
        return
      }
      path.push(key)
      if (key === "__proto__" || !key.isWellFormed()) refuse("This name is not allowed")
      else visit(Reflect.get(value, key))
      path.pop()
    }
  }
  visit(body)
  return values > JSON_VALUES_MAX
    ? [{ in: "body", pointer: "#", detail: `Has more than ${JSON_VALUES_MAX} values` }]
    : errors
}
