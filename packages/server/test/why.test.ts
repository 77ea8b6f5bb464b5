import { Database } from "bun:sqlite"
import type { Why } from "@event-service-agent/api/representations"
import { afterAll, describe, expect, it } from "vitest"
import { callsOf, detailOf, type Submission, submit, TERMINAL } from "./client.ts"
import { countingTarget } from "./counting-target.ts"
import { removeLeftovers, Service, temporaryFolder } from "./process.ts"
import { storeUnhandled } from "./unhandled.ts"
import { until } from "./until.ts"

type Answer = (typeof Why)["Encoded"]

afterAll(removeLeftovers)

const TENANT = "acme"
const TIMEOUT_MS = 60_000
const FAR = "2999-01-01T00:00:00.000Z"

const call = (url: string, change: Partial<Submission> = {}): Submission => ({
  name: "a call",
  timeoutMs: TIMEOUT_MS,
  requestSpec: { method: "POST", url },
  ...change
})

const whyOf = async (service: Service, tenant: string, id: string): Promise<Answer> => {
  const response = await service.fetch(`${callsOf(tenant)}/${id}/why`)
  expect(response.status).toBe(200)
  return response.json()
}

const untilGate = (service: Service, tenant: string, id: string, gate: Answer["gate"]) =>
  until(`it waits at ${gate}`, async () => {
    const why = await whyOf(service, tenant, id)
    return why.gate === gate && why
  })

describe("why", () => {
  it("names the timer, the caps, the attempt and the end, with the numbers and the next wake-up", async () => {
    const held = Promise.withResolvers<void>()
    await using target = countingTarget(async () => {
      await held.promise
      return new Response("ok")
    })
    const caps = { IN_FLIGHT_MAX: "2", IN_FLIGHT_PER_TENANT_MAX: "1" }
    await using service = await Service.start({ EGRESS_ALLOW: target.host, ...caps })
    const idOf = async (tenant: string, change: Partial<Submission> = {}) =>
      (await submit(service, tenant, call(target.url, change))).serviceCallId

    const later = await idOf(TENANT, { dueAt: FAR })
    expect(await untilGate(service, TENANT, later, "timer")).toMatchObject({ nextWakeUpAt: FAR, lateness: null })

    const first = await idOf(TENANT)
    await until("the first is sent", () => target.count === 1)
    const { attempt } = await detailOf(service, TENANT, first)
    const running = await whyOf(service, TENANT, first)
    expect(running).toMatchObject({ gate: "running", numbers: { attempt: 1, timeoutMs: TIMEOUT_MS } })
    const deadline = new Date(Date.parse(attempt?.startedAt ?? "") + TIMEOUT_MS).toISOString()
    expect(running.nextWakeUpAt).toBe(deadline)

    const second = await idOf(TENANT)
    const third = await idOf(TENANT)
    const atCap = await untilGate(service, TENANT, third, "tenant-cap")
    // The only place is free at the latest when the attempt that has it must end.
    expect(atCap).toMatchObject({
      nextWakeUpAt: deadline,
      numbers: { runningOfTenant: 1, tenantCap: 1, runningOfAll: 1, globalCap: 2, dueBefore: 1 }
    })

    await idOf("globex")
    await until("all places are taken", () => target.count === 2)
    const foreign = await idOf("initech")
    const atGlobalCap = await untilGate(service, "initech", foreign, "global-cap")
    expect(atGlobalCap).toMatchObject({
      nextWakeUpAt: deadline,
      numbers: { runningOfTenant: 0, runningOfAll: 2, dueBefore: 0 }
    })

    held.resolve()
    for (const id of [first, second, third]) {
      const detail = await until("the call has ended", async () => {
        const now = await detailOf(service, TENANT, id)
        return TERMINAL.has(now.status) && now
      })
      const { gate, summary, lateness, nextWakeUpAt } = await whyOf(service, TENANT, id)
      expect({ gate, nextWakeUpAt, summary }).toMatchObject({ gate: "done", nextWakeUpAt: null })
      expect(summary).toContain("the target answered 200")
      const { totalMs = 0, releaseMs = 0, claimMs = 0, sendMs = 0 } = lateness ?? {}
      expect(totalMs).toBe(detail.latenessMs ?? -1)
      expect(releaseMs + claimMs + sendMs).toBe(totalMs)
      expect(Math.min(releaseMs, claimMs, sendMs)).toBeGreaterThanOrEqual(0)
    }
  })

  it("names the message that a module failed on: when it is tried again, or that it was given up", async () => {
    using folder = temporaryFolder()
    const ids: Array<string> = []
    {
      await using service = await Service.start({}, { folder: folder.path })
      for (const _ of [1, 2]) {
        ids.push((await submit(service, TENANT, call("https://example.com/", { dueAt: FAR }))).serviceCallId)
      }
      await service.kill("SIGTERM")
      using database = new Database(service.dbPath)
      const [retried = "", dead = ""] = ids
      storeUnhandled(database, { where: "service_call_id = ?", bindings: [retried] })
      // After so many tries, the service waits for half a minute at least: whatever the clock said, no longer than that.
      database.run("UPDATE deliveries SET attempts = 9, available_at = ?", [Date.parse(FAR)])
      storeUnhandled(database, { where: "service_call_id = ?", bindings: [dead], error: "'TypeError: no'" })
    }
    await using service = await Service.start({}, { folder: folder.path })
    const [retried = "", dead = ""] = ids
    expect(await whyOf(service, TENANT, retried)).toMatchObject({
      gate: "queued",
      nextWakeUpAt: FAR,
      numbers: { attempts: 9 }
    })
    const given = await whyOf(service, TENANT, dead)
    expect(given).toMatchObject({ gate: "dead-letter", nextWakeUpAt: null, numbers: { attempts: 10 } })
    expect(given.summary).toContain("TypeError: no")
  })

  it("names the broker while it is away", async () => {
    await using service = await Service.start({ NATS_URL: "nats://127.0.0.1:1" })
    const { serviceCallId } = await submit(service, TENANT, call("https://example.com/"))
    const why = await whyOf(service, TENANT, serviceCallId)
    expect(why).toMatchObject({ gate: "broker", status: "Submitted", nextWakeUpAt: null })
    expect(why.summary).toContain("NATS is not reachable")
  })
})
