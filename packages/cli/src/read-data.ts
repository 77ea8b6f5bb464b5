import { readFileSync, statSync } from "node:fs"
import { Effect } from "effect"
import { CommandFailed, EXIT } from "./failure.ts"

/** More than the service takes; it says itself what is too much. */
const DATA_BYTES_MAX = 2 * 1024 * 1024

/** What `--data` means: text itself, `@file`, or `-` for what comes in. Bodies are text: it has to be UTF-8. */
export const readData = (data: string): Effect.Effect<string, CommandFailed> =>
  Effect.tryPromise({
    try: async () => {
      if (data === "-" || data === "@-") return decode(await readInput())
      if (!data.startsWith("@")) return data
      const file = data.slice(1)
      if (statSync(file).size > DATA_BYTES_MAX) throw tooMuch()
      return decode(readFileSync(file))
    },
    catch: (cause) =>
      new CommandFailed({
        exitCode: EXIT.usage,
        message: `--data: ${cause instanceof Error ? cause.message : String(cause)}`
      })
  })

const readInput = async (): Promise<Uint8Array> => {
  const chunks: Array<Uint8Array> = []
  let size = 0
  for await (const chunk of Bun.stdin.stream()) {
    chunks.push(chunk)
    size += chunk.byteLength
    if (size > DATA_BYTES_MAX) throw tooMuch()
  }
  return Buffer.concat(chunks)
}

const tooMuch = (): Error => new Error(`it is longer than ${DATA_BYTES_MAX} bytes`)

const decode = (bytes: Uint8Array): string => {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw new Error("it is not UTF-8 text, and the body of a call is text")
  }
}
