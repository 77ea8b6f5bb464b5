/** One wrong field, as the API tells it. */
export interface FieldProblem {
  /** JSON pointer as a URI fragment. */
  readonly pointer: string
  readonly detail: string
}

/** Why something did not work: a problem document of the API (RFC 9457), or what stands for one. */
export interface Problem {
  /** 0 when there was no answer. */
  readonly status: number
  readonly type: string
  readonly title: string
  readonly detail: string
  readonly errors: ReadonlyArray<FieldProblem>
  readonly correlationId: string
}

export const NO_ANSWER: Problem = {
  status: 0,
  type: "about:blank",
  title: "The service does not answer",
  detail: "It may be starting, or the network is down.",
  errors: [],
  correlationId: ""
}

/** Reads what an API may have answered; whatever is missing is empty. */
export const toProblem = (status: number, value: unknown): Problem => {
  const document = isRecord(value) ? value : {}
  const text = (name: string) => (typeof document[name] === "string" ? document[name] : "")
  const errors = Array.isArray(document["errors"]) ? document["errors"] : []
  return {
    status,
    type: text("type"),
    title: text("title") || `The service answered ${status}`,
    detail: text("detail"),
    errors: errors.filter(isRecord).map(({ pointer, detail }) => ({
      pointer: typeof pointer === "string" ? pointer : "#",
      detail: typeof detail === "string" ? detail : "Is wrong"
    })),
    correlationId: text("correlationId")
  }
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** The names along a pointer such as `#/requestSpec/headers/x~1y`. */
export const pathOf = (pointer: string): ReadonlyArray<string> =>
  decode(pointer.replace(/^#/, ""))
    .split("/")
    .slice(1)
    .map((token) => token.replaceAll("~1", "/").replaceAll("~0", "~"))

const decode = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
