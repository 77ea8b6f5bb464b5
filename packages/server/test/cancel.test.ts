import { afterAll, describe, expect, it } from "vitest"
import {
  callsOf,
  type Detail,
  detailOf,
  json,
  listAll,
  type Submission,
  sideBySide,
  submit,
  TERMINAL
} from "./client.ts"
import { countingTarget } from "./counting-target.ts"
import { removeLeftovers, Service } from "./process.ts"
import { Random } from "./random.ts"
import { stored } from "./stored.ts"
import { until } from "./until.ts"

afterAll(removeLeftovers)

const TENANT = "acme"
const WAIT_MS_MAX = 60_000
const LATER = "2999-01-01T00:00:00Z"
const CALLS = 300
/** Calls are due this long after the first submission, at least and at most. */
const DUE_IN_MS_MIN = 3_000
const DUE_IN_MS_MAX = 5_000
/** Before or after its due time, at most, a call is cancelled. */
const AROUND_MS = 150

const cancelOf = (id: string) => `${callsOf(TENANT)}/${id}/cancel`

const setTags = async (service: Service, id: string, tags: ReadonlyArray<string>) => {
  const response = await service.fetch(`${callsOf(TENANT)}/${id}/tags`, { ...json({ tags }), method: "PUT" })
  const answer: Detail = await response.json()
  return { status: response.status, answer }
}

describe.concurrent("a call that is cancelled while it becomes due", () => {
  it("is either cancelled and never sent, or sent once and not cancelled, and the answer says which", async () => {
    const random = new Random(42)
    await using target = countingTarget(async () => {
      await Bun.sleep(20)
      return new Response("ok")
    })
    await using service = await Service.start({ EGRESS_ALLOW: target.host })
    const answers = new Map<string, { readonly status: number; readonly text: string }>()
    const startedAt = Date.now()
    await sideBySide(Array(CALLS).keys(), CALLS, async () => {
      const dueAt = startedAt + random.between(DUE_IN_MS_MIN, DUE_IN_MS_MAX)
      const submission: Submission = {
        name: "race",
        dueAt: new Date(dueAt).toISOString(),
        requestSpec: { method: "POST", url: target.url }
      }
      const { serviceCallId } = await submit(service, TENANT, submission)
      // Pacing: the instant is what is tried.
      await Bun.sleep(Math.max(0, dueAt + random.between(-AROUND_MS, AROUND_MS) - Date.now()))
      const response = await service.fetch(cancelOf(serviceCallId), { method: "POST" })
      answers.set(serviceCallId, { status: response.status, text: await response.text() })
    })
    const calls = await until(
      "all have ended",
      async () => {
        const all = await listAll(service, TENANT)
        return all.every(({ status }) => TERMINAL.has(status)) && all
      },
      WAIT_MS_MAX
    )
    expect(calls).toHaveLength(CALLS)
    const events = Map.groupBy(
      stored<{ readonly id: string; readonly type: string }>(
        service.dbPath,
        "SELECT service_call_id AS id, type FROM outbox WHERE type GLOB 'ServiceCall*' ORDER BY seq"
      ),
      ({ id }) => id
    )
    const attempts = new Set(
      stored<{ readonly id: string }>(service.dbPath, "SELECT service_call_id AS id FROM execution_attempts").map(
        ({ id }) => id
      )
    )
    for (const { serviceCallId: id, status } of calls) {
      const { status: answered, text = "" } = answers.get(id) ?? {}
      const isCancelled = status === "Cancelled"
      const facts = {
        status,
        answered,
        sent: target.byKey.get(id)?.length ?? 0,
        hasAttempt: attempts.has(id),
        events: events.get(id)?.map(({ type }) => type.replace("ServiceCall", ""))
      }
      expect(facts).toEqual({
        status: isCancelled ? "Cancelled" : "Succeeded",
        // Undecided after two seconds: then nobody was told anything.
        answered: answered === 202 ? 202 : isCancelled ? 200 : 409,
        sent: isCancelled ? 0 : 1,
        hasAttempt: !isCancelled,
        events: ["Submitted", "Scheduled", ...(isCancelled ? ["Cancelled"] : ["Running", "Succeeded"])]
      })
      if (answered === 409) expect(text).toContain("urn:event-service-agent:problem:not-cancellable")
      if (answered === 200) expect(JSON.parse(text)).toMatchObject({ status: "Cancelled" })
      // Asked again, it is as decided as before.
      if (random.chance(0.1)) {
        const again = await service.fetch(cancelOf(id), { method: "POST" })
        expect(again.status).toBe(isCancelled ? 200 : 409)
      }
    }
    const cancelled = calls.filter(({ status }) => status === "Cancelled").length
    expect(cancelled).toBeGreaterThan(CALLS / 20)
    expect(cancelled).toBeLessThan((CALLS * 19) / 20)
  })
})

describe.concurrent("tags and the star", () => {
  it("are set in every state, and change nothing else", async () => {
    const held = Promise.withResolvers<void>()
    await using target = countingTarget(async ({ path }) => {
      if (path === "/held") await held.promise
      return new Response("ok", { status: path === "/fails" ? 500 : 200 })
    })
    await using service = await Service.start({ EGRESS_ALLOW: target.host })
    const of = (path: string, change: Partial<Submission> = {}): Submission => ({
      name: path,
      requestSpec: { method: "POST", url: target.url + path },
      ...change
    })
    const ids = {
      Scheduled: await submit(service, TENANT, of("/ok", { dueAt: LATER })),
      Running: await submit(service, TENANT, of("/held", { timeoutMs: 100_000 })),
      Succeeded: await submit(service, TENANT, of("/ok", { tags: ["first"] })),
      Failed: await submit(service, TENANT, of("/fails")),
      Cancelled: await submit(service, TENANT, of("/ok", { dueAt: LATER }))
    }
    await service.fetch(cancelOf(ids.Cancelled.serviceCallId), { method: "POST" })
    for (const [status, { serviceCallId: id }] of Object.entries(ids)) {
      await until(`it is ${status}`, async () => (await detailOf(service, TENANT, id)).status === status)
      const before = await detailOf(service, TENANT, id)
      for (const tags of [["starred"], ["starred", "b"], ["b"], []]) {
        const { status: answered, answer } = await setTags(service, id, tags)
        expect({ status, tags, answered }).toEqual({ status, tags, answered: 200 })
        expect(answer).toEqual({ ...before, tags: [...tags] })
        expect(await detailOf(service, TENANT, id)).toEqual(answer)
        const starred = await listAll(service, TENANT, "&tag=starred")
        expect(starred.map((call) => call.serviceCallId)).toEqual(tags.includes("starred") ? [id] : [])
      }
      await setTags(service, id, [status])
    }
    held.resolve()
    const { serviceCallId: id } = ids.Running
    await until("it has ended", async () => (await detailOf(service, TENANT, id)).status === "Succeeded")
    expect(await detailOf(service, TENANT, id)).toMatchObject({ tags: ["Running"] })
    expect(target.count).toBe(3)
  })
})
