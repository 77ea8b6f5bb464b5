import { closeSync, openSync } from "node:fs"
import { HttpClientPort } from "@event-service-agent/platform/http-client-port"
import { Effect } from "effect"
import { client } from "./targets.ts"

const STARTED_MS = 200

/**
 * A program for tests: takes every file descriptor that is left, sends GET to the URL, and prints what came of it.
 * Arguments: URL, timeout in milliseconds, milliseconds after which the descriptors are given back (not at all without).
 */
const program = Effect.gen(function* () {
  const http = yield* HttpClientPort
  const [url = "", timeoutMs, heldMs] = process.argv.slice(2)
  const taken: Array<number> = []
  const takeAll = () => {
    try {
      for (;;) taken.push(openSync("/dev/null", "r"))
    } catch {
      // None is left.
    }
  }
  const taking = setInterval(takeAll, 10)
  const giveBack = () => {
    clearInterval(taking)
    for (const descriptor of taken.splice(0)) closeSync(descriptor)
  }
  // Those that the start of the program still holds become free meanwhile.
  yield* Effect.sleep(STARTED_MS)
  takeAll()
  if (heldMs !== undefined) setTimeout(giveBack, Number(heldMs))
  const outcome = yield* http.send({ method: "GET", url }, { timeoutMs: Number(timeoutMs) }).pipe(
    Effect.map(({ status }) => String(status)),
    Effect.catch(({ kind, sent }) => Effect.succeed(`${kind} ${sent}`))
  )
  giveBack()
  return outcome
})
console.log(await Effect.runPromise(Effect.provide(program, client())))
