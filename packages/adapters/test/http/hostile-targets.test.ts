import type { Answer, SendFailed } from "@event-service-agent/platform/http-client-port"
import { live } from "@event-service-agent/platform/testing"
import { Effect, Option, Result } from "effect"
import { beforeAll, describe, expect, it } from "vitest"
import { BROKEN, ENDLESS, type Hostility, POURING } from "./hostile-answers.ts"
import { get, send } from "./sending.ts"
import { client, target } from "./targets.ts"

const TIMEOUT_MS = 1_000
/** A machine that is busy with other tests may be this late. */
const LATE_MS_MAX = 3_000

interface Seen {
  readonly outcome: string
  readonly elapsedMs: number
  /** Whether the connection was closed afterwards. */
  readonly isClosed: boolean
  readonly requestLines: ReadonlyArray<string>
}

const meet = ([, , behaviour]: Hostility) =>
  Effect.gen(function* () {
    const hostile = yield* target(behaviour)
    const startedAt = performance.now()
    const result = yield* Effect.result(send(get(hostile.url), TIMEOUT_MS))
    const elapsedMs = performance.now() - startedAt
    const closed = yield* Effect.timeoutOption(
      Effect.promise(() => hostile.closed),
      LATE_MS_MAX
    )
    const lines = hostile.requests.flatMap((request) => request.match(/^[A-Z]+ \S+ HTTP.*$/gm) ?? [])
    return { outcome: outcomeOf(result), elapsedMs, isClosed: Option.isSome(closed), requestLines: lines }
  }).pipe(Effect.scoped)

const outcomeOf = (result: Result.Result<Answer, SendFailed>) => {
  if (Result.isSuccess(result)) return `${result.success.status} ${result.success.bodyBytes}`
  const { kind, sent, status } = result.failure
  return `${kind} ${sent}${status === undefined ? "" : ` ${status}`}`
}

for (const [title, hostilities, concurrency] of [
  ["a slow target", ENDLESS, "unbounded"],
  ["a pouring target", POURING, 3],
  ["a broken target", BROKEN, 8]
] as const) {
  describe(title, () => {
    const seen = new Map<string, Seen>()
    // They mostly wait: side by side, and each with a test of its own.
    beforeAll(
      live(
        Effect.forEach(hostilities, (hostility) => Effect.map(meet(hostility), (one) => seen.set(hostility[0], one)), {
          concurrency,
          discard: true
        }).pipe(Effect.provide(client()))
      )
    )

    for (const [what, outcome] of hostilities) {
      it(`that ${what} comes out as ${outcome}, in time and after one request`, () => {
        const { elapsedMs, ...rest } = seen.get(what) ?? {}
        expect(rest).toEqual({ outcome, isClosed: true, requestLines: ["GET / HTTP/1.1"] })
        expect(elapsedMs).toBeLessThan(TIMEOUT_MS + LATE_MS_MAX)
      })
    }
  })
}
