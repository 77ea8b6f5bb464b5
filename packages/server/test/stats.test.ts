import type { CallStats } from "@event-service-agent/api/representations"
import { afterAll, describe, expect, it } from "vitest"
import { callsOf, json, type Submission, submit } from "./client.ts"
import { countingTarget } from "./counting-target.ts"
import { removeLeftovers, Service } from "./process.ts"
import { changeStored, rowCounts } from "./stored.ts"
import { until } from "./until.ts"

type Stats = (typeof CallStats)["Encoded"]

afterAll(removeLeftovers)

const LATER = "2999-01-01T00:00:00Z"
const NONE = { Submitted: 0, Scheduled: 0, Running: 0, Succeeded: 0, Failed: 0, Cancelled: 0 }

const statsOf = async (service: Service, tenant: string): Promise<Stats> => {
  const response = await service.fetch(`${callsOf(tenant)}/stats`)
  expect(response.status).toBe(200)
  return response.json()
}

const callTo = (url: string, change: Partial<Submission> = {}): Submission => ({
  name: "a call",
  requestSpec: { method: "POST", url },
  ...change
})

describe("the counts of a tenant's calls", () => {
  it("follow every change of state and tags, and what retention deletes", async () => {
    await using target = countingTarget(
      ({ path }) => new Response("ok", { status: path.startsWith("/fails") ? 500 : 200 })
    )
    await using service = await Service.start({ EGRESS_ALLOW: target.host, RETENTION_FINISHED: "10s" })
    expect(await statsOf(service, "acme")).toEqual({ total: 0, statuses: NONE, tags: [], overdue: 0 })
    const later = await submit(service, "acme", callTo(target.url, { dueAt: LATER, tags: ["a", "starred"] }))
    const other = await submit(service, "acme", callTo(target.url, { dueAt: LATER, tags: ["a"] }))
    await submit(service, "globex", callTo(target.url, { dueAt: LATER, tags: ["a", "of globex"] }))
    const isScheduled = async () => (await statsOf(service, "acme")).statuses.Scheduled === 2
    await until("both are scheduled", isScheduled)
    const waiting = { ...NONE, Scheduled: 2 }
    const star = { tag: "starred", calls: 1 }
    // The star comes first, then the most used.
    const tags = [star, { tag: "a", calls: 2 }]
    expect(await statsOf(service, "acme")).toEqual({ total: 2, statuses: waiting, tags, overdue: 0 })

    await service.fetch(`${callsOf("acme")}/${other.serviceCallId}/cancel`, { method: "POST" })
    await service.fetch(`${callsOf("acme")}/${later.serviceCallId}/tags`, { ...json({ tags: ["b"] }), method: "PUT" })
    expect(await statsOf(service, "acme")).toEqual({
      total: 2,
      statuses: { ...NONE, Scheduled: 1, Cancelled: 1 },
      tags: [
        { tag: "a", calls: 1 },
        { tag: "b", calls: 1 }
      ],
      overdue: 0
    })
    for (const path of ["/ok", "/fails"]) await submit(service, "acme", callTo(target.url + path))
    await until("those have ended, and were counted so", async () => {
      const { statuses } = await statsOf(service, "acme")
      return statuses.Succeeded === 1 && statuses.Failed === 1
    })
    await until("what has ended is deleted", async () => (await statsOf(service, "acme")).total === 1, 60_000)
    expect(await statsOf(service, "acme")).toEqual({
      total: 1,
      statuses: { ...NONE, Scheduled: 1 },
      tags: [{ tag: "b", calls: 1 }],
      overdue: 0
    })
    expect(rowCounts(service.dbPath)).toMatchObject({ service_calls: 2 })
    expect(await statsOf(service, "globex")).toMatchObject({ total: 1 })
  })

  it("say how many wait although they were due some time ago, and are no newcomers", async () => {
    const held = Promise.withResolvers<void>()
    await using target = countingTarget(async () => {
      await held.promise
      return new Response("ok")
    })
    await using service = await Service.start({ EGRESS_ALLOW: target.host, IN_FLIGHT_PER_TENANT_MAX: "1" })
    const submitCall = () => submit(service, "acme", callTo(target.url))
    await submitCall()
    await until("it is sent", () => target.count === 1)
    const old = await submitCall()
    await submitCall()
    const isWaiting = async () => (await statsOf(service, "acme")).statuses.Scheduled === 2
    await until("the others wait", isWaiting)
    expect((await statsOf(service, "acme")).overdue).toBe(0)
    const { dbPath } = service
    changeStored(dbPath, "UPDATE service_calls SET due_at = due_at - 20000 WHERE status = 'Scheduled'")
    // As if it had come then; the other one has just come, though it was due before.
    const earlier = "UPDATE service_calls SET accepted_at = accepted_at - 20000 WHERE service_call_id = ?"
    changeStored(dbPath, earlier, old.serviceCallId)
    expect((await statsOf(service, "acme")).overdue).toBe(1)
    expect((await statsOf(service, "globex")).overdue).toBe(0)
    held.resolve()
    await until("nothing waits", async () => (await statsOf(service, "acme")).overdue === 0)
  })
})
