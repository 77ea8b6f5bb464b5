import { Cause, Effect, Logger } from "effect"
import { TestConsole } from "effect/testing"
import { describe, expect, it } from "vitest"
import { jsonLines, logfmtLines, prettyLines } from "../../src/log-line.ts"

const TOKEN = `ghp_${"a1B2".repeat(9)}`
const LOGGERS = { json: jsonLines, logfmt: logfmtLines, pretty: prettyLines }

const linesOf = (logger: Logger.Logger<unknown, string>, log: Effect.Effect<void>): Promise<string> =>
  Effect.runPromise(
    log.pipe(
      Effect.andThen(TestConsole.logLines),
      Effect.map((lines) => lines.join("\n")),
      Effect.provide(Logger.layer([Logger.withConsoleLog(logger)])),
      Effect.provide(TestConsole.layer)
    )
  )

describe("a log line about a failure", () => {
  for (const [format, logger] of Object.entries(LOGGERS)) {
    it(`says what failed and shows nothing that looks secret, as ${format}`, async () => {
      const failures = [
        Effect.logError("it failed", Cause.die(new Error(`GET https://example.com/?access_token=s3cret failed`))),
        Effect.logError("it failed", Cause.fail({ password: "s3cret", at: 1 })),
        Effect.logError("it failed", new Error(`refused: Authorization: Bearer ${TOKEN}`)),
        Effect.logWarning("it failed", `password=s3cret ${TOKEN}`),
        Effect.logWarning("it failed", { deep: { down: [`token ${TOKEN}`] } })
      ]
      for (const failure of failures) {
        const lines = await linesOf(logger, failure)
        expect(lines).toContain("it failed")
        expect(lines).toContain("[redacted]")
        expect(lines).not.toContain("s3cret")
        expect(lines).not.toContain(TOKEN)
        if (format === "json") expect(JSON.parse(lines)).toMatchObject({ annotations: {} })
      }
    })
  }

  it("is one line of what can be seen, whatever others wrote", async () => {
    const hostile = "\u001b[2J\u009b31m\u202eexe.txt\u2028\nnext"
    for (const [format, logger] of Object.entries(LOGGERS)) {
      for (const log of [Effect.logInfo("heard", hostile), Effect.logWarning("heard", hostile)]) {
        const line = await linesOf(logger, log)
        // Colours are our own, and end with the word that they are for.
        const plain =
          format === "pretty" ? line.replaceAll(new RegExp(`${String.fromCharCode(27)}\\[\\d+m`, "g"), "") : line
        expect({ format, plain }).toEqual({ format, plain: expect.not.stringMatching(/[\p{Cc}\u2028\u202e]/u) })
        expect(plain.match(/message=/g) ?? []).toHaveLength(format === "logfmt" ? 1 : 0)
        if (format === "json") expect(JSON.parse(line).message).toBe(`heard: ${hostile}`)
      }
    }
  })

  it("keeps an error's name and message, and survives a message that contains itself", async () => {
    const lines = await linesOf(jsonLines, Effect.logError("it failed", new TypeError("no such thing")))
    expect(JSON.parse(lines).message).toEqual(["it failed", { name: "TypeError", message: "no such thing" }])
    const circle: { self?: unknown; name: string } = { name: "round" }
    circle.self = circle
    expect(await linesOf(jsonLines, Effect.logError("it failed", circle))).toContain("round")
  })
})

describe("a log line about what goes as it should", () => {
  for (const [format, logger] of Object.entries(LOGGERS)) {
    it(`has its annotations, as ${format}`, async () => {
      const id = "019a53b1-7c00-7d4e-8a51-0f6c1d2e3b4a"
      const line = Effect.annotateLogs(Effect.logInfo("service call Running"), { tenantId: "acme", serviceCallId: id })
      const lines = await linesOf(logger, line)
      for (const text of ["service call Running", "acme", id]) expect(lines).toContain(text)
    })
  }
})
