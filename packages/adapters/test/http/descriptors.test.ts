import { fileURLToPath } from "node:url"
import { live } from "@event-service-agent/platform/testing"
import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import { OK, target } from "./targets.ts"

const PROGRAM = fileURLToPath(new URL("send-without-descriptors.ts", import.meta.url))
const DESCRIPTORS_MAX = 100

const sendWithout = (...args: ReadonlyArray<string>) =>
  Effect.promise(async () => {
    const command = ["sh", "-c", `ulimit -n ${DESCRIPTORS_MAX}; exec "$@"`, "sh", process.execPath, PROGRAM, ...args]
    const child = Bun.spawn(command, { stdout: "pipe", stderr: "inherit", timeout: 20_000 })
    return (await new Response(child.stdout).text()).trim()
  })

describe("a send without a free file descriptor", () => {
  it(
    "waits for one, and is made once",
    live(
      Effect.gen(function* () {
        const echo = yield* target((socket) => socket.end(OK))
        expect(yield* sendWithout(echo.url, "15000", "350")).toBe("200")
        expect(echo.requests).toHaveLength(1)
      })
    )
  )

  it(
    "waits no longer than its timeout, and was not made",
    live(
      Effect.gen(function* () {
        const echo = yield* target((socket) => socket.end(OK))
        expect(yield* sendWithout(echo.url, "350")).toBe("Timeout no")
        expect(echo.requests).toEqual([])
      })
    )
  )
})
