import { closeSync, constants, openSync, readSync } from "node:fs"
import { join } from "node:path"
import { afterAll, describe, expect, it } from "vitest"
import { LogOutput, WAITING_MAX } from "../src/log-output.ts"
import { callsOf, json } from "./client.ts"
import { freePort } from "./free-port.ts"
import { leaveBehind, removeLeftovers, temporaryFolder } from "./process.ts"
import { until } from "./until.ts"

const MAIN = join(import.meta.dirname, "../src/main.ts")
/** What they log is more than a pipe holds. */
const CALLS = 300
const READ_BYTES = 131_072
const CALL = {
  name: "a call",
  dueAt: "2999-01-01T00:00:00Z",
  requestSpec: { method: "GET", url: "https://example.com/" }
} as const

afterAll(removeLeftovers)

/** The ends of a pipe, of which only the reading one does not wait. */
const pipeIn = (folder: string) => {
  const path = join(folder, "log")
  expect(Bun.spawnSync(["mkfifo", path]).exitCode).toBe(0)
  const reading = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  return { reading, writing: openSync(path, constants.O_WRONLY) }
}

/** What the pipe holds: only ASCII is logged here. */
const readAll = (pipe: number): string => {
  const buffer = new Uint8Array(READ_BYTES)
  try {
    return new TextDecoder().decode(buffer.subarray(0, readSync(pipe, buffer)))
  } catch {
    return ""
  }
}

const scheduledIn = (log: string): number => log.split("publish ServiceCallScheduled").length - 1

describe("a reader of the log that reads nothing", () => {
  it("holds up no call, no answer and no stop, and finds the lines in order when it reads on", async () => {
    using folder = temporaryFolder()
    const pipe = pipeIn(folder.path)
    const port = freePort()
    const child = Bun.spawn([process.execPath, MAIN], {
      cwd: folder.path,
      env: {
        PATH: process.env["PATH"] ?? "",
        DB_PATH: join(folder.path, "service.db"),
        PORT: String(port),
        ECHO_PORT: "off",
        LOG_FORMAT: "json",
        LOG_LEVEL: "debug"
      },
      stdin: "ignore",
      stdout: pipe.writing,
      stderr: "inherit"
    })
    const forget = leaveBehind(() => child.kill("SIGKILL"))
    const url = `http://127.0.0.1:${port}`
    const isReady = () =>
      fetch(`${url}/health/ready`).then(
        ({ ok }) => ok,
        () => false
      )
    await until("it is ready", isReady)
    for (let call = 0; call < CALLS; call++) {
      const answer = await fetch(`${url}${callsOf("acme")}`, { ...json(CALL), signal: AbortSignal.timeout(30_000) })
      expect(answer.status).toBe(202)
    }
    expect((await fetch(`${url}/health/live`, { signal: AbortSignal.timeout(30_000) })).status).toBe(200)
    // Otherwise nothing would have been held up.
    let log = readAll(pipe.reading)
    expect(scheduledIn(log)).toBeLessThan(CALLS)
    await until("it has all", () => {
      log += readAll(pipe.reading)
      return scheduledIn(log) === CALLS
    })
    const messages = log
      .split("\n")
      .slice(0, -1)
      .map((line): string => JSON.parse(line).message)
    expect(messages[0]).toBe("ready")
    for (let call = 0; call < CALLS; call++) {
      expect((await fetch(`${url}${callsOf("acme")}`, json(CALL))).status).toBe(202)
    }
    child.kill("SIGTERM")
    expect(await child.exited).toBe(0)
    for (const end of [pipe.reading, pipe.writing]) closeSync(end)
    forget()
  })

  it("finds, after what there was room for, how many lines are missing", async () => {
    const reading = Promise.withResolvers<void>()
    let written = ""
    const output = new LogOutput({
      write: (text) => {
        written += text
      },
      flush: () => reading.promise
    })
    const line = "x".repeat(1_048_575)
    expect(output.write(line)).toBe(true)
    output.flush()
    const more = Array.from({ length: 10 }, () => output.write(line))
    expect(more.filter((isThere) => isThere)).toHaveLength(WAITING_MAX / 1_048_576 - 1)
    expect(output.dropped).toBe(10 - 7)
    const drained = output.drained(30_000)
    reading.resolve()
    await drained
    expect(written).toHaveLength(WAITING_MAX)
    expect(output.write(line)).toBe(true)
  })
})
