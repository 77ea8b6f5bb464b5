import { type FieldProblem, pathOf } from "./problem.ts"
import { type Detail, isMasked, type Method } from "./wire.ts"

export interface HeaderRow {
  /** Tells the rows of a form apart. */
  readonly id: number
  readonly name: string
  readonly value: string
  /** The call it was cloned from had a value that is not shown: it has to be given anew. */
  readonly isRequired: boolean
}

/** What is in the form, as it was typed. */
export interface Draft {
  readonly name: string
  readonly method: Method
  readonly url: string
  readonly headers: ReadonlyArray<HeaderRow>
  readonly body: string
  /** The call it was cloned from had a body, which is not shown. */
  readonly isBodyRequired: boolean
  readonly when: "now" | "later"
  /** RFC 3339; empty for none. */
  readonly dueAt: string
  readonly tags: ReadonlyArray<string>
  readonly timeoutMs: string
  readonly onUnknown: "fail" | "resend"
  readonly targetIsIdempotent: boolean
  readonly keepRequest: boolean
  readonly idempotencyKey: string
  readonly clonedFrom: string | null
}

let rows = 0
export const headerRow = (name = "", value = "", isRequired = false): HeaderRow => ({
  id: ++rows,
  name,
  value,
  isRequired
})

/** @param idempotencyKey a fresh one */
export const emptyDraft = (idempotencyKey: string): Draft => ({
  name: "",
  method: "POST",
  url: "",
  headers: [headerRow("Content-Type", "application/json")],
  body: "",
  isBodyRequired: false,
  when: "now",
  dueAt: "",
  tags: [],
  timeoutMs: "",
  onUnknown: "fail",
  targetIsIdempotent: false,
  keepRequest: false,
  idempotencyKey,
  clonedFrom: null
})

/** Header names whose values are hidden like passwords, and kept nowhere. */
export const isSecretName = (name: string): boolean =>
  !/^idempotency-key$/i.test(name.trim()) &&
  /auth|token|secret|passw|cookie|session|signature|credential|api[-_]?key|(^|[-_])key$/i.test(name)

/** What may be kept of a draft between two visits. */
export const withoutSecrets = (draft: Draft): Draft => ({
  ...draft,
  headers: draft.headers.map((row) => (isSecretName(row.name) ? { ...row, value: "" } : row))
})

/** How the call is named when nobody names it. */
export const defaultName = ({ method, url }: Pick<Draft, "method" | "url">): string => {
  const host = URL.parse(url)?.host ?? ""
  return host === "" ? "" : `${method} ${host}${URL.parse(url)?.pathname ?? ""}`.slice(0, 200)
}

/** Whether the body is JSON by its Content-Type. */
export const isJsonBody = ({ headers }: Pick<Draft, "headers">): boolean =>
  headers.some(({ name, value }) => /^content-type$/i.test(name.trim()) && /[/+]json\b/i.test(value))

/** What goes to the API; the key travels as a header. */
export const toSubmission = (draft: Draft): object => ({
  name: draft.name.trim() === "" ? defaultName(draft) : draft.name,
  requestSpec: {
    method: draft.method,
    url: draft.url.trim(),
    headers: Object.fromEntries(namedHeaders(draft)),
    ...(draft.body === "" ? {} : { body: draft.body })
  },
  ...(draft.when === "later" ? { dueAt: draft.dueAt } : {}),
  ...(draft.tags.length === 0 ? {} : { tags: draft.tags }),
  ...(draft.timeoutMs.trim() === "" ? {} : { timeoutMs: toNumber(draft.timeoutMs) }),
  ...(draft.onUnknown === "fail" ? {} : { onUnknown: draft.onUnknown }),
  ...(draft.targetIsIdempotent ? { targetIsIdempotent: true } : {}),
  ...(draft.keepRequest ? { keepRequest: true } : {}),
  ...(draft.clonedFrom === null ? {} : { clonedFrom: draft.clonedFrom })
})

/** What is not a number goes to the API as it is, which then says what it expects. */
const toNumber = (text: string): number | string => (Number.isNaN(Number(text)) ? text : Number(text))

export const namedHeaders = ({ headers }: Pick<Draft, "headers">): ReadonlyArray<readonly [string, string]> =>
  headers.filter(({ name }) => name.trim() !== "").map(({ name, value }) => [name.trim(), value])

/** What is wrong before the API can see it: what its form does not hold, or a form would lose. */
export const problemsOf = (draft: Draft): ReadonlyArray<FieldProblem> => {
  const problems: Array<FieldProblem> = []
  const add = (pointer: string, detail: string) => problems.push({ pointer, detail })
  if (draft.url.trim() === "") add("#/requestSpec/url", "Enter the URL to call, or paste a curl command")
  else if (isMasked(draft.url)) add("#/requestSpec/url", "Replace what is redacted: the secret is not kept")
  const seen = new Set<string>()
  for (const row of draft.headers) {
    const name = row.name.trim()
    const pointer = headerPointer(name)
    if (name === "") {
      if (row.value !== "") add(pointer, "Give this header a name, or remove it")
      continue
    }
    if (seen.has(name.toLowerCase())) add(pointer, "Is given twice: give it once")
    seen.add(name.toLowerCase())
    if (row.value === "" && row.isRequired) add(pointer, "Enter the value again, or remove the header: it is not kept")
  }
  if (draft.body === "" && draft.isBodyRequired) add("#/requestSpec/body", "Enter the body again: it is not kept")
  if (draft.when === "later" && draft.dueAt === "") add("#/dueAt", "Choose when to call")
  return problems
}

const headerPointer = (name: string): string =>
  `#/requestSpec/headers/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`

/** A field of the form. */
export type Field =
  | "name"
  | "method"
  | "url"
  | "headers"
  | "body"
  | "dueAt"
  | "tags"
  | "timeoutMs"
  | "onUnknown"
  | "targetIsIdempotent"
  | "keepRequest"
  | "idempotencyKey"

const FIELDS: ReadonlyMap<string, Field> = new Map([
  ["name", "name"],
  ["requestSpec/method", "method"],
  ["requestSpec/url", "url"],
  ["requestSpec/headers", "headers"],
  ["requestSpec/body", "body"],
  ["dueAt", "dueAt"],
  ["tags", "tags"],
  ["timeoutMs", "timeoutMs"],
  ["onUnknown", "onUnknown"],
  ["targetIsIdempotent", "targetIsIdempotent"],
  ["keepRequest", "keepRequest"],
  ["idempotencyKey", "idempotencyKey"],
  ["idempotency-key", "idempotencyKey"]
])

/** Which field the problem is about, and what of it, for example the name of a header; `undefined` for none. */
export const placeOf = ({ pointer }: FieldProblem): { readonly field: Field; readonly part: string } | undefined => {
  const path = pathOf(pointer)
  const depth = path[0] === "requestSpec" ? 2 : 1
  const field = FIELDS.get(path.slice(0, depth).join("/"))
  return field === undefined ? undefined : { field, part: path.slice(depth).join("/") }
}

/**
 * The form filled with what is known of a call. What is redacted is left empty and has to be given again.
 *
 * @param idempotencyKey a fresh one: this is another call
 */
export const draftFrom = (call: Detail, idempotencyKey: string): Draft => ({
  ...emptyDraft(idempotencyKey),
  name: call.name,
  method: call.request.method,
  url: call.request.url,
  headers: Object.entries(call.request.headers).map(([name, value]) =>
    isMasked(value) ? headerRow(name, "", true) : headerRow(name, value)
  ),
  isBodyRequired: call.request.bodyBytes > 0,
  tags: call.tags.filter((tag) => tag !== "starred"),
  timeoutMs: String(call.timeoutMs),
  onUnknown: call.onUnknown,
  clonedFrom: call.serviceCallId
})
