import type { FieldError } from "@event-service-agent/api/problem"
import { Data } from "effect"

/** What the service sends when it refuses (RFC 9457), as far as it is looked at here. */
export interface ProblemDocument {
  readonly type?: string
  readonly title?: string
  readonly detail?: string
  readonly correlationId?: string
  readonly serviceCallId?: string
  readonly serviceCallStatus?: string
  readonly errors?: ReadonlyArray<FieldError>
  /** Of an agent that is not ready: its parts and their states. */
  readonly checks?: Readonly<Record<string, string>>
}

/** How the program ends; `docs/cli.md` explains each. From 64 on, the numbers of BSD's sysexits. */
export const EXIT = {
  ok: 0,
  /** The call failed, or the service made a mistake. */
  failed: 1,
  usage: 2,
  notFound: 3,
  conflict: 4,
  /** Nobody answers there, or somebody else. */
  unreachable: 69,
  /** Not yet: the same again later may succeed. */
  later: 75,
  notAllowed: 77,
  configuration: 78
} as const
export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

/** Why a command ends without what it was asked for, with the program's exit code. Holds no secret. */
export class CommandFailed extends Data.TaggedError("CommandFailed")<{
  readonly exitCode: ExitCode
  /** For people: what is wrong, in a sentence. */
  readonly message: string
  /** More of it, a line each. */
  readonly details?: ReadonlyArray<string>
  /** The useful command now, as it has to be typed. */
  readonly next?: string
  /** What the service answered, as it came. */
  readonly problem?: ProblemDocument | undefined
}> {}
