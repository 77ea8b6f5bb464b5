import type { GeneratedRequest } from "./generate-request.ts"
import type { WireAnswer } from "./wire.ts"

interface ProblemDocument {
  readonly type?: unknown
  readonly title?: unknown
  readonly status?: unknown
  readonly detail?: unknown
  readonly correlationId?: unknown
  readonly errors?: ReadonlyArray<{ readonly in?: unknown; readonly pointer?: unknown; readonly detail?: unknown }>
}

/** What a request that follows the document may still be told: rules that its schemas cannot say. */
const RULES = /^#\/(requestSpec\/(body|headers(\/.*)?)|onUnknown|idempotency-key|scopes|expiresAt)$/
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** A sentence for each thing that is wrong with the answer to a generated request. */
export const verifyAnswer = (request: GeneratedRequest, answer: WireAnswer): ReadonlyArray<string> => {
  const { status, headers, body } = answer
  const wrong: Array<string> = []
  const expect = (isSo: boolean, otherwise: string) => {
    if (!isSo) wrong.push(otherwise)
  }
  expect(status >= 200 && status < 500, `the status is ${status}`)
  expect(UUID.test(headers.get("x-correlation-id") ?? ""), "there is no correlation id")
  expect(headers.get("access-control-allow-origin") === undefined, "another site may read it")
  if (request.isValid) {
    expect(request.operation.statuses.has(status), `the document does not know the status ${status}`)
    expect(status < 400 || isExpectedRefusal(status, body), `what the document allows is refused: ${body}`)
  }
  if (status >= 400 && !request.isHead) wrong.push(...verifyProblem(answer))
  return wrong
}

const isExpectedRefusal = (status: number, body: string): boolean => {
  if (status === 404 || status === 409) return true
  if (status !== 422) return false
  const { errors = [] }: ProblemDocument = JSON.parse(body)
  return errors.every(({ pointer }) => RULES.test(String(pointer)))
}

const verifyProblem = ({ status, headers, body }: WireAnswer): ReadonlyArray<string> => {
  const type = headers.get("content-type")
  if (type !== "application/problem+json") return [`a refusal is ${type}: ${body.slice(0, 200)}`]
  const problem: ProblemDocument = JSON.parse(body)
  const { errors } = problem
  const isText = (value: unknown, length = 1): boolean => typeof value === "string" && value.length >= length
  const facts: ReadonlyArray<readonly [boolean, string]> = [
    [String(problem.type).startsWith("urn:event-service-agent:problem:"), "the problem has no type"],
    [problem.status === status, "the problem has another status than the answer"],
    [problem.correlationId === headers.get("x-correlation-id"), "the problem has another correlation id"],
    [isText(problem.title, 10), "the problem has no title"],
    // Who asks for what is not there may not learn why.
    [isText(problem.detail, "Use PUT".length) || status === 404, "the problem has no detail"],
    [status !== 422 || (errors !== undefined && errors.length > 0), "the problem names no field"],
    [
      (errors ?? []).every((one) => isText(one.in) && isText(one.pointer) && isText(one.detail, 10)),
      "the problem does not say what is wrong with a field"
    ],
    [body.length < 65_536, "the problem is too long"]
  ]
  return facts.flatMap(([isSo, otherwise]) => (isSo ? [] : [`${otherwise}: ${body.slice(0, 500)}`]))
}
