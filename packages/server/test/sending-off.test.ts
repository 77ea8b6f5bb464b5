import type { Why } from "@event-service-agent/api/representations"
import { afterAll, describe, expect, it } from "vitest"
import { callsOf, detailOf, json, submit, TERMINAL } from "./client.ts"
import { countingTarget } from "./counting-target.ts"
import { removeLeftovers, Service, temporaryFolder } from "./process.ts"
import { rowCounts } from "./stored.ts"
import { until } from "./until.ts"

const TENANT = "acme"
const DUE_IN_MS = 3_000

afterAll(removeLeftovers)

const whyOf = async (service: Service, id: string): Promise<(typeof Why)["Encoded"]> =>
  (await service.fetch(`${callsOf(TENANT)}/${id}/why`)).json()

describe("a start with SENDING=off", () => {
  it("sends nothing of what a copy holds, says so, lets it be cancelled, and the next start goes on", async () => {
    const answered = Promise.withResolvers<void>()
    await using target = countingTarget(async ({ path }) => {
      if (path === "/under-way") await answered.promise
      return new Response("ok")
    })
    using folder = temporaryFolder()
    const allow = { EGRESS_ALLOW: target.host }
    // Past, by the time of the copy.
    const short = { RETENTION_FINISHED: "1s" }
    const call = (path: string, dueAt?: string) => ({
      name: path,
      requestSpec: { method: "POST", url: `${target.url}${path}` } as const,
      ...(dueAt === undefined ? {} : { dueAt })
    })
    const requestsOf = (id: string) => target.byKey.get(id)?.length ?? 0

    const first = await Service.start(allow, { folder: folder.path })
    const done = await submit(first, TENANT, call("/done"))
    await until("one is done", async () => (await detailOf(first, TENANT, done.serviceCallId)).status === "Succeeded")
    const again = { onUnknown: "resend", targetIsIdempotent: true } as const
    const underWay = await submit(first, TENANT, { ...call("/under-way"), ...again })
    const dueAt = Date.now() + DUE_IN_MS
    const due = await submit(first, TENANT, call("/due", new Date(dueAt).toISOString()))
    const unwanted = await submit(first, TENANT, call("/unwanted", new Date(dueAt).toISOString()))
    await until("one is under way", () => target.count === 2)
    await until("the others are armed", () => rowCounts(first.dbPath)["timer_schedules"] === 2)
    await first[Symbol.asyncDispose]()
    answered.resolve()
    await until("they are due", () => Date.now() > dueAt)

    const held = await Service.start({ ...allow, ...short, SENDING: "off" }, { folder: folder.path })
    const warnings = held.logs.filter(({ level }) => level === "WARN").map(({ message }) => message)
    expect(warnings).toContain("nothing is sent: SENDING is off, so that calls are taken and wait")
    const now = await submit(held, TENANT, call("/now"))
    const blame = expect.stringContaining("Nothing is sent: SENDING is off")
    for (const { serviceCallId: id } of [underWay, due, unwanted, now]) {
      await until("it is held", async () => (await whyOf(held, id)).gate === "executor")
      expect(await whyOf(held, id)).toMatchObject({ summary: blame, nextWakeUpAt: null })
    }
    const ready = await held.fetch("/health/ready")
    expect(ready.status).toBe(200)
    expect(await ready.json()).toMatchObject({ status: "degraded", checks: { executors: "degraded" }, detail: blame })
    expect((await held.fetch(`${callsOf(TENANT)}/${unwanted.serviceCallId}/cancel`, json({}))).status).toBe(200)
    expect((await detailOf(held, TENANT, done.serviceCallId)).status).toBe("Succeeded")
    await held[Symbol.asyncDispose]()
    expect([target.count, requestsOf(underWay.serviceCallId)]).toEqual([2, 1])

    await using service = await Service.start(allow, { folder: folder.path })
    const ended = async ({ serviceCallId: id }: { readonly serviceCallId: string }) => {
      const { status } = await until("it has ended", async () => {
        const detail = await detailOf(service, TENANT, id)
        return TERMINAL.has(detail.status) && detail
      })
      return [status, requestsOf(id)]
    }
    expect(await Promise.all([underWay, due, unwanted, now].map(ended))).toEqual([
      ["Succeeded", 2],
      ["Succeeded", 1],
      ["Cancelled", 0],
      ["Succeeded", 1]
    ])
  })
})
