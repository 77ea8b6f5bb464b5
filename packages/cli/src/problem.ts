import { CommandFailed, EXIT, type ExitCode, type ProblemDocument } from "./failure.ts"
import { visible } from "./output.ts"

/** Type of the answer for a call that is not there, and for the calls of others. */
export const CALL_NOT_FOUND = "urn:event-service-agent:problem:service-call-not-found"

const BY_STATUS: ReadonlyMap<number, ExitCode> = new Map<number, ExitCode>([
  ...[400, 405, 413, 415, 422].map((status) => [status, EXIT.usage] as const),
  [401, EXIT.notAllowed],
  [403, EXIT.notAllowed],
  [404, EXIT.notFound],
  [409, EXIT.conflict],
  [421, EXIT.configuration],
  [429, EXIT.later],
  [502, EXIT.unreachable],
  [503, EXIT.later],
  [504, EXIT.unreachable]
])

const FLAGS: ReadonlyArray<readonly [pointer: RegExp, flag: string]> = [
  [/^#\/requestSpec\/url/, "<url>"],
  [/^#\/requestSpec\/method/, "<method>"],
  [/^#\/requestSpec\/headers/, "--header"],
  [/^#\/requestSpec\/body/, "--data"],
  [/^#\/name/, "--name"],
  [/^#\/dueAt/, "--at or --in"],
  [/^#\/tags?(\/|$)/, "--tag"],
  [/^#\/timeoutMs/, "--timeout"],
  [/^#\/onUnknown/, "--on-unknown"],
  [/^#\/targetIsIdempotent/, "--target-is-idempotent"],
  [/^#\/idempotency-?[kK]ey/, "--idempotency-key"],
  [/^#\/reason/, "--reason"],
  [/^#\/tenantId/, "--tenant"],
  [/^#\/status/, "--status"],
  [/^#\/from/, "--from"],
  [/^#\/to/, "--to"],
  [/^#\/q$/, "--text"],
  [/^#\/since/, "--since"],
  [/^#\/expiresAt/, "--expires"],
  [/^#\/scopes/, "--scope"],
  [/^#\/label/, "--label"]
]

/** The flag whose value a field of the request is; `undefined` when it comes from none. */
export const flagOf = (pointer: string): string | undefined => FLAGS.find(([pattern]) => pattern.test(pointer))?.[1]

/** What to tell of an answer that is not the one that was asked for. */
export const failureOf = (url: string, response: Response, text: string): CommandFailed => {
  const { status } = response
  const problem = parseProblem(response, text)
  if (problem === undefined) {
    const exitCode = BY_STATUS.get(status) === EXIT.notAllowed ? EXIT.notAllowed : EXIT.unreachable
    return new CommandFailed({ exitCode, message: `what answers at ${url} with ${status} is no Event Service Agent` })
  }
  if (problem.type === "urn:event-service-agent:problem:route-not-found") {
    const message = `the service at ${url} does not know this command: it is of another version, or the path in ESA_URL is wrong`
    return new CommandFailed({ exitCode: EXIT.unreachable, message, problem })
  }
  const { title = `the service answered ${status}`, detail, errors = [], correlationId } = problem
  const wait = response.headers.get("retry-after")
  return new CommandFailed({
    exitCode: BY_STATUS.get(status) ?? EXIT.failed,
    message: visible(detail === undefined ? title : `${title}: ${detail}`),
    details: [
      ...errors.map((error) => visible(`${flagOf(error.pointer) ?? `${error.in} ${error.pointer}`}: ${error.detail}`)),
      ...(problem.serviceCallStatus === undefined ? [] : [visible(`status: ${problem.serviceCallStatus}`)]),
      ...(problem.serviceCallId === undefined ? [] : [visible(`call: ${problem.serviceCallId}`)]),
      ...(wait === null ? [] : [visible(`try again in ${wait} s`)]),
      ...(correlationId === undefined ? [] : [visible(`correlation id: ${correlationId}`)])
    ],
    problem
  })
}

const parseProblem = (response: Response, text: string): ProblemDocument | undefined => {
  if (!(response.headers.get("content-type") ?? "").startsWith("application/problem+json")) return undefined
  try {
    const parsed: ProblemDocument | null = JSON.parse(text)
    return typeof parsed === "object" && parsed !== null ? parsed : undefined
  } catch {
    return undefined
  }
}
