/** A system call that strace has seen. Its instants are lines of the trace, which stand in the order of events. */
export interface SystemCall {
  readonly name: string
  /** What its first argument is: the path of a file, `TCP:[from->to]` of a connection. */
  readonly on: string
  /** What it writes, a character for each byte; or the path it opens. */
  readonly data: string
  /** All its arguments, as strace prints them. */
  readonly text: string
  readonly startedAt: number
  /** Never, when it did not return. */
  readonly endedAt: number
  /** Below 0 for a failure. */
  readonly result: number
}

/** Reads what `strace -f -yy -o` has written. A call that others interrupt stands there in two parts. */
export const parseTrace = (trace: string): ReadonlyArray<SystemCall> => {
  const calls: Array<SystemCall> = []
  const unfinished = new Map<string, { readonly name: string; readonly text: string; readonly index: number }>()
  for (const [line, text] of trace.split("\n").entries()) {
    const [, thread = "", rest = ""] = /^(\d+) +(.*)$/.exec(text) ?? []
    const resumed = /^<\.\.\. (\w+) resumed>(.*)$/.exec(rest)
    const begun = /^(\w+)\((.*)$/.exec(rest)
    if (resumed !== null) {
      const first = unfinished.get(thread)
      unfinished.delete(thread)
      if (first !== undefined)
        calls[first.index] = finish(first.name, first.text + resumed[2], calls[first.index], line)
    } else if (begun?.[1] !== undefined && begun[2] !== undefined) {
      const [name, args] = [begun[1], begun[2].replace(/ *<unfinished \.\.\.>$/, "")]
      const isUnfinished = args.length < begun[2].length
      if (isUnfinished) unfinished.set(thread, { name, text: args, index: calls.length })
      const call = finish(name, args, undefined, line)
      calls.push(isUnfinished ? { ...call, endedAt: Number.POSITIVE_INFINITY, result: -1 } : call)
    }
  }
  return calls
}

const finish = (name: string, text: string, begun: SystemCall | undefined, line: number): SystemCall => ({
  name,
  on: /^\d+<(.*?)>(?=[,)]|$)/.exec(text)?.[1]?.replace(/ \(deleted\)$/, "") ?? "",
  data: [...text.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(([, quoted = ""]) => unquote(quoted)).join(""),
  text,
  startedAt: begun?.startedAt ?? line,
  endedAt: line,
  result: Number(/\) += (-?\d+)/.exec(text)?.[1] ?? -1)
})

const CONTROL: Readonly<Record<string, string>> = { a: "\x07", b: "\b", t: "\t", n: "\n", v: "\v", f: "\f", r: "\r" }

const unquote = (quoted: string): string =>
  quoted.replace(/\\(?:([0-7]{1,3})|x([0-9a-f]{2})|(.))/g, (_, octal?: string, hex?: string, other = "") => {
    if (octal !== undefined) return String.fromCharCode(Number.parseInt(octal, 8))
    return hex === undefined ? (CONTROL[other] ?? other) : String.fromCharCode(Number.parseInt(hex, 16))
  })
