/** The code that the runtime gives an error, as in `ECONNREFUSED`; empty when there is none. */
export const codeOf = (cause: unknown): string =>
  cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : ""
