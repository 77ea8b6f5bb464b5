import { fileURLToPath } from "node:url"
import { live } from "@event-service-agent/platform/testing"
import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import { BROKEN, ENDLESS, POURING } from "./hostile-answers.ts"
import type { Cost } from "./send-often.ts"
import { target } from "./targets.ts"

const SEND_OFTEN = fileURLToPath(new URL("send-often.ts", import.meta.url))
const TIMES = 50
const TIMEOUT_MS = 100
/** Ten requests at a time, each with at most `RESPONSE_BODY_BYTES_MAX` and what Bun reads ahead: 32 MiB were seen. */
const PEAK_MIB_MAX = 64
const LEFT_MIB_MAX = 32

const costOf = (url: string) =>
  Effect.promise(async (): Promise<Cost> => {
    const child = Bun.spawn([process.execPath, SEND_OFTEN, url, String(TIMES), String(TIMEOUT_MS)], { stdout: "pipe" })
    return JSON.parse(await new Response(child.stdout).text())
  })

const COSTLY = [
  "pours a header without end",
  "pours headers without end",
  "pours interim answers 100",
  "pours a body without end",
  "pours a body of tiny chunks",
  "pours one chunk extension",
  "pours trailers",
  "reads and never answers",
  "drips the body",
  "sends a gzip bomb"
]
const costly = [...POURING, ...ENDLESS, ...BROKEN].filter(([what]) => COSTLY.includes(what))

describe(`${TIMES} requests to a hostile target`, () => {
  it(
    "leave no connection open, and hold little memory meanwhile and none afterwards",
    live(
      Effect.gen(function* () {
        expect(costly).toHaveLength(COSTLY.length)
        const costs = yield* Effect.forEach(
          costly,
          ([what, , behaviour]) =>
            Effect.scoped(
              Effect.gen(function* () {
                const { url } = yield* target(behaviour)
                return { what, ...(yield* costOf(url)) }
              })
            ),
          { concurrency: 3 }
        )
        const isTooMuch = ({ peakMiB, leftMiB, leftFiles }: Cost) =>
          peakMiB > PEAK_MIB_MAX || leftMiB > LEFT_MIB_MAX || (leftFiles ?? 0) > 0
        expect(costs.filter(isTooMuch)).toEqual([])
      })
    )
  )
})
