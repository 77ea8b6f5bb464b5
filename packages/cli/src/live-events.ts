import { Effect } from "effect"
import * as Sse from "effect/encoding/Sse"
import { CommandFailed, EXIT } from "./failure.ts"

/** The service says something every 15 s; a connection that is silent for so long is dead. */
const SILENCE_MS_MAX = 45_000

/** The next event of a stream, each time it is run; `undefined` at its end. Fails when the connection breaks. */
export const readEvents = (url: string, response: Response): Effect.Effect<Sse.Event | undefined, CommandFailed> => {
  const events: Array<Sse.Event> = []
  const parser = Sse.makeParser((event) => {
    if (event._tag === "Event") events.push(event)
  })
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
  const broken = (reason: string) =>
    new CommandFailed({ exitCode: EXIT.unreachable, message: `the connection to ${url} is lost: ${reason}` })
  const read = Effect.tryPromise({
    try: async () => reader?.read(),
    catch: (cause) => broken(cause instanceof Error ? cause.message : String(cause))
  }).pipe(
    Effect.timeoutOrElse({ duration: SILENCE_MS_MAX, orElse: () => Effect.fail(broken("nothing comes any more")) })
  )
  return Effect.gen(function* () {
    while (events.length === 0) {
      const chunk = yield* read
      if (chunk === undefined || chunk.done) return undefined
      const problem = parser.feed(chunk.value)
      if (problem !== undefined) return yield* broken("what comes is too long")
    }
    return events.shift()
  })
}
