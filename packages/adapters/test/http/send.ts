import { HttpClientPort } from "@event-service-agent/platform/http-client-port"
import { Effect } from "effect"
import { client } from "./targets.ts"

/**
 * A program for tests of the environment: sends GET to all URLs at once (with IN_TURN one after the other), with a
 * secret, and prints what came of it.
 */
const program = Effect.gen(function* () {
  const http = yield* HttpClientPort
  const headers = { authorization: "Basic c2VzYW1l", "x-key": "sesame" }
  return yield* Effect.forEach(
    process.argv.slice(2),
    (url) =>
      http.send({ method: "GET", url, headers }, { timeoutMs: 30_000 }).pipe(
        Effect.map(({ status }) => String(status)),
        Effect.catch(({ kind, sent }) => Effect.succeed(`${kind} ${sent}`))
      ),
    { concurrency: process.env["IN_TURN"] === undefined ? "unbounded" : 1 }
  )
})
console.log(JSON.stringify(await Effect.runPromise(Effect.provide(program, client()))))
