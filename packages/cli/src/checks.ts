/** One thing that was looked at. `warn`: it works, but somebody should know. */
export interface Check {
  readonly check: string
  readonly result: "ok" | "warn" | "fail"
  readonly detail: string
}

export const ok = (check: string, detail: string): Check => ({ check, result: "ok", detail })
export const warn = (check: string, detail: string): Check => ({ check, result: "warn", detail })
export const fail = (check: string, detail: string): Check => ({ check, result: "fail", detail })
