import { Effect, JsonPointer, type Schema, SchemaIssue } from "effect"
import type { HttpServerRequest } from "effect/http"
import { ContentTooLarge, type FieldError, InvalidRequest, MalformedJson, NotJson, UNKNOWN_FIELD } from "./problem.ts"

export const CONTENT_BYTES_MAX = 1_048_576
export const JSON_DEPTH_MAX = 32
/** Wrong fields that one answer lists. */
export const FIELD_ERRORS_MAX = 100

const utf8 = new TextDecoder("utf-8", { fatal: true })

/** Reads a JSON body. What it gives back is safe to walk: not deep, no `__proto__`, no broken text. */
export const readJson = Effect.fnUntraced(function* (
  request: HttpServerRequest.HttpServerRequest,
  options?: { readonly whenEmpty: unknown }
) {
  const bytes = yield* readBytes(request)
  if (bytes.byteLength === 0 && options !== undefined) return options.whenEmpty
  if (mediaType(request.headers["content-type"]) !== "application/json") {
    return yield* new NotJson({ detail: "Send the header Content-Type: application/json" })
  }
  if ((request.headers["content-encoding"] ?? "identity") !== "identity") {
    return yield* new NotJson({ detail: "Send the body as it is, without Content-Encoding" })
  }
  const value = yield* Effect.try({
    try: (): unknown => JSON.parse(utf8.decode(bytes)),
    catch: () =>
      new MalformedJson({
        detail: bytes.byteLength === 0 ? "The body is empty" : "The body is not valid JSON in UTF-8"
      })
  })
  const errors = unsafeParts(value)
  if (errors.length > 0) return yield* invalid(errors)
  return value
})

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

const readBytes = Effect.fnUntraced(function* (request: HttpServerRequest.HttpServerRequest) {
  const { source } = request
  if (!(source instanceof Request)) return yield* Effect.die("the request did not come through a web server")
  const announced = Number(request.headers["content-length"] ?? 0)
  // The decoded bytes are counted as well: a chunked body announces no length.
  const bytes =
    announced > CONTENT_BYTES_MAX
      ? undefined
      : new Uint8Array(
          yield* Effect.tryPromise({
            try: () => source.arrayBuffer(),
            catch: () => new MalformedJson({ detail: "The body ended early" })
          })
        )
  if (bytes === undefined || bytes.byteLength > CONTENT_BYTES_MAX) {
    return yield* new ContentTooLarge({ detail: `At most ${CONTENT_BYTES_MAX} bytes are taken` })
  }
  return bytes
})

const mediaType = (header: string | undefined): string => (header?.split(";")[0] ?? "").trim().toLowerCase()

/** What no schema should have to look at. */
const unsafeParts = (body: unknown): ReadonlyArray<FieldError> => {
  const errors: Array<FieldError> = []
  const path: Array<PropertyKey> = []
  const refuse = (detail: string) => errors.push({ in: "body", pointer: pointerTo(path), detail })
  const visit = (value: unknown): void => {
    if (typeof value === "string" && !value.isWellFormed()) refuse("This text has half a surrogate pair")
    if (typeof value !== "object" || value === null) return
    if (path.length === JSON_DEPTH_MAX) {
      refuse(`Nested deeper than ${JSON_DEPTH_MAX} levels`)
      return
    }
    for (const [key, child] of Object.entries(value)) {
      path.push(key)
      if (key === "__proto__" || !key.isWellFormed()) refuse("This name is not allowed")
      else visit(child)
      path.pop()
    }
  }
  visit(body)
  return errors
}
