/** What may wait for whoever reads the log, in characters. */
export const WAITING_MAX = 8 * 1_048_576

/** Where text goes: `flush` gives a promise while the reader has no room for it. */
export interface Sink {
  readonly write: (text: string) => unknown
  readonly flush: () => unknown
}

/**
 * Writes lines without ever waiting for their reader: a pipe that nobody empties must not hold up calls. What one turn of
 * the event loop writes goes out at once. Lines beyond `WAITING_MAX` are left out and counted.
 */
export class LogOutput {
  /** Lines that were left out since the start. */
  dropped = 0
  readonly #sink: Sink
  #lines: Array<string> = []
  #waiting = 0
  #reading: Promise<void> | undefined

  constructor(sink: Sink) {
    this.#sink = sink
  }

  /** Whether there is room for the line. */
  write(line: string): boolean {
    if (this.#waiting + line.length > WAITING_MAX) {
      this.dropped++
      return false
    }
    this.#waiting += line.length
    if (this.#lines.push(line) === 1 && this.#reading === undefined) setImmediate(() => this.flush())
    return true
  }

  /** Hands on what waits, as far as there is room. */
  flush(): void {
    if (this.#lines.length === 0) return
    const text = `${this.#lines.join("\n")}\n`
    this.#lines = []
    try {
      this.#sink.write(text)
      const flushed = this.#sink.flush()
      if (flushed instanceof Promise) this.#reading = this.#after(flushed)
      else this.#waiting = 0
    } catch {
      // Nobody is there to read, or there is no room on the disk.
      this.#waiting = 0
    }
  }

  /** Ends when everything is written, or after so many milliseconds. */
  async drained(deadlineMs: number): Promise<void> {
    this.flush()
    const until = performance.now() + deadlineMs
    while (this.#reading !== undefined && performance.now() < until) {
      await Promise.race([this.#reading, Bun.sleep(until - performance.now())])
    }
  }

  async #after(flushed: Promise<unknown>): Promise<void> {
    await flushed.catch(() => {})
    this.#waiting = this.#lines.reduce((sum, line) => sum + line.length, 0)
    this.#reading = undefined
    this.flush()
  }
}

let standard: LogOutput | undefined

/** The one output of the process. */
export const standardOutput = (): LogOutput => {
  if (standard !== undefined) return standard
  const output = new LogOutput(Bun.stdout.writer())
  process.once("exit", () => output.flush())
  standard = output
  return output
}
