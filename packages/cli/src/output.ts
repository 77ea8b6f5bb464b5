import { writeSync } from "node:fs"
import { isatty } from "node:tty"
import { Effect } from "effect"

const STDOUT = 1
const STDERR = 2
/** Somebody else made the terminal non-blocking: how long to wait until it takes more. */
const FULL_MS = 2

/** Data, for whoever reads it: a line, or several. */
export const print = (text: string): Effect.Effect<void> => Effect.sync(() => write(STDOUT, `${text}\n`))

/** What is for people beside the data. */
export const note = (text: string): Effect.Effect<void> => Effect.sync(() => write(STDERR, `${text}\n`))

/** Whether a terminal shows what is printed. */
export const isTerminal = (): boolean => isatty(STDOUT)

/**
 * Text that others wrote, without what a terminal would obey: control characters, and those that turn the direction of
 * writing, become escapes. Line breaks and tabs stay if `keepLines`.
 */
export const visible = (text: string, keepLines = false): string =>
  text.replace(/[\p{Cc}\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu, (character) =>
    keepLines && (character === "\n" || character === "\t")
      ? character
      : `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`
  )

const COLOURS = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, blue: 34, cyan: 36 } as const
export type Colour = keyof typeof COLOURS

const painter =
  (descriptor: number) =>
  (colour: Colour, text: string): string =>
    hasColours(descriptor) ? `\u001b[${COLOURS[colour]}m${text}\u001b[0m` : text

/** Colours what is printed, where a terminal shows it and NO_COLOR is not set. */
export const paint = painter(STDOUT)
/** Colours notes. */
export const paintNote = painter(STDERR)

const hasColours = (descriptor: number): boolean => {
  const { NO_COLOR = "", FORCE_COLOR = "", TERM } = process.env
  if (NO_COLOR !== "" || TERM === "dumb") return false
  return isatty(descriptor) || !["", "0", "false"].includes(FORCE_COLOR)
}

/** Writes all of it before it returns: what comes after may end the process. */
const write = (descriptor: number, text: string): void => {
  let rest: Uint8Array = new TextEncoder().encode(text)
  while (rest.byteLength > 0) {
    try {
      rest = rest.subarray(writeSync(descriptor, rest))
    } catch (error) {
      const code = error instanceof Error && "code" in error ? error.code : undefined
      if (code === "EAGAIN") {
        Bun.sleepSync(FULL_MS)
        continue
      }
      // The reader of the data, such as `head`, has seen enough. Notes may get lost.
      if (code === "EPIPE" && descriptor === STDOUT) process.exit(0)
      if (code === "EPIPE") return
      throw error
    }
  }
}
