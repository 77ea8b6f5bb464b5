import { join } from "node:path"
import { afterAll, describe, expect, it } from "vitest"
import { callsOf, detailOf, submit } from "../client.ts"
import { removeLeftovers, Service } from "../process.ts"
import { stored } from "../stored.ts"
import { until } from "../until.ts"

const TENANT = "acme"
const MAIN = join(import.meta.dirname, "../../src/main.ts")
const STALLED_SYNC = join(import.meta.dirname, "stalled-sync.ts")
const ANSWER_MS = 1_000
const CALL = {
  name: "a call",
  dueAt: "2999-01-01T00:00:00Z",
  requestSpec: { method: "GET", url: "https://example.com/" }
} as const

afterAll(removeLeftovers)

describe("what is committed and not yet on the disk", () => {
  it("is told to nobody, also not to those who only read", async () => {
    const command = [process.execPath, "--preload", STALLED_SYNC, MAIN]
    await using service = await Service.start({}, { command })
    const { serviceCallId } = await submit(service, TENANT, CALL)
    expect((await detailOf(service, TENANT, serviceCallId)).status).toBe("Scheduled")
    service.signal("SIGUSR2")
    await until("syncs stall", () => service.logs.some(({ message }) => message === "syncs stall"))

    const cancel = `${callsOf(TENANT)}/${serviceCallId}/cancel`
    /** The text of the answer; empty when there is none in time. */
    const ask = async (path: string, init: RequestInit = {}): Promise<string> => {
      try {
        const answer = await service.fetch(path, { ...init, signal: AbortSignal.timeout(ANSWER_MS) })
        return `${answer.status} ${await answer.text()}`
      } catch {
        return ""
      }
    }
    const first = ask(cancel, { method: "POST" })
    const cancelled = "SELECT 1 FROM service_calls WHERE status = 'Cancelled'"
    await until("the cancellation is committed", () => stored(service.dbPath, cancelled).length === 1)
    const answers = await Promise.all([
      first,
      ask(cancel, { method: "POST" }),
      ask(`${callsOf(TENANT)}/${serviceCallId}`),
      ask(callsOf(TENANT))
    ])
    expect(answers.filter((answer) => answer.includes("Cancelled"))).toEqual([])
  })
})
