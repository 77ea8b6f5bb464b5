import { afterAll, describe, expect, it } from "vitest"
import { callsOf, countOf, json, listAll, type Reference, type Submission, sideBySide } from "./client.ts"
import { countingTarget } from "./counting-target.ts"
import { removeLeftovers, Service } from "./process.ts"
import { damageOf, rowCounts, stored } from "./stored.ts"
import { until } from "./until.ts"

const CALLS = 1_000
const CLIENTS = 32
const TENANTS = ["acme", "globex"] as const
/** The process dies when the target has got this many requests. */
const KILLS_AT = [50, 200, 350, 600]
const IN_FLIGHT_MAX = 60
/** The target answers after 50 ms to 150 ms. */
const ANSWER_AFTER_MS_MIN = 50
const ANSWER_AFTER_MS_SPREAD = 100
const DUE_IN_MS_MAX = 3_000
const RETRY_AFTER_MS = 20
const SUBMIT_MS_MAX = 20_000

afterAll(removeLeftovers)

describe("a process that is killed again and again", () => {
  it("loses no acknowledged call, sends none twice and says which outcomes it does not know", async () => {
    let number = 0
    await using target = countingTarget(async () => {
      await Bun.sleep(ANSWER_AFTER_MS_MIN + ((number++ * 37) % ANSWER_AFTER_MS_SPREAD))
      return new Response("ok")
    })
    await using service = await Service.start({
      EGRESS_ALLOW: target.host,
      IN_FLIGHT_MAX: String(IN_FLIGHT_MAX),
      LOG_LEVEL: "info"
    })
    const acknowledged = new Map<string, string>()

    const submitting = sideBySide(Array(CALLS).keys(), CLIENTS, async (index) => {
      const tenant = TENANTS[index % 2] ?? "acme"
      const { serviceCallId } = await submitSurely(service, tenant, `key-${index}`, {
        name: `call ${index}`,
        requestSpec: { method: "POST", url: target.url, body: `${index}` },
        ...(index % 4 < 2 ? {} : { dueAt: inMillis((index * 7_919) % DUE_IN_MS_MAX) })
      })
      acknowledged.set(serviceCallId, tenant)
    })
    let acknowledgedBefore = 0
    for (const arrivals of KILLS_AT) {
      await until(`the target has got ${arrivals} requests`, () => target.count >= arrivals, 20_000)
      acknowledgedBefore ||= acknowledged.size
      await service.kill("SIGKILL")
      await service.restart()
    }
    await submitting
    expect(acknowledgedBefore).toBeLessThan(CALLS)
    expect(acknowledged.size).toBe(CALLS)
    const open = ["Submitted", "Scheduled", "Running"]
    for (const tenant of TENANTS) {
      const ended = async () => (await countOf(service, tenant, ...open)) === 0
      await until(`every call of ${tenant} has ended`, ended, 20_000)
    }

    const calls = (await Promise.all(TENANTS.map((tenant) => listAll(service, tenant)))).flat()
    expect(calls.map((call) => call.serviceCallId).sort()).toEqual([...acknowledged.keys()].sort())
    for (const { tenantId, serviceCallId } of calls) expect(acknowledged.get(serviceCallId)).toBe(tenantId)
    for (const call of calls) {
      const arrivals = target.byKey.get(call.serviceCallId)?.length ?? 0
      expect({ call: call.serviceCallId, isOnce: arrivals <= 1 }).toEqual({ call: call.serviceCallId, isOnce: true })
      if (call.status === "Succeeded") expect(arrivals).toBe(1)
      for (const arrival of target.byKey.get(call.serviceCallId) ?? []) {
        expect(arrival.arrivedAt).toBeGreaterThanOrEqual(Date.parse(call.dueAt))
      }
    }
    expect([...target.byKey.keys()].filter((id) => !acknowledged.has(id))).toEqual([])

    await service.kill("SIGTERM")
    const unknown = stored<{ readonly outcome: string; readonly status: string }>(
      service.dbPath,
      "SELECT status, outcome FROM service_calls WHERE status <> 'Succeeded'"
    )
    expect(unknown.length).toBeGreaterThan(0)
    expect(unknown.length).toBeLessThanOrEqual(KILLS_AT.length * IN_FLIGHT_MAX)
    for (const { status, outcome } of unknown) {
      expect({ status, ...JSON.parse(outcome) }).toMatchObject({
        status: "Failed",
        kind: "OutcomeUnknown",
        sent: "maybe"
      })
    }
    const ends = stored<{ readonly ends: number; readonly calls: number }>(
      service.dbPath,
      `SELECT count(*) AS ends, count(DISTINCT service_call_id) AS calls FROM outbox
       WHERE type IN ('ServiceCallSucceeded', 'ServiceCallFailed')`
    )
    expect(ends).toEqual([{ ends: CALLS, calls: CALLS }])
    expect(rowCounts(service.dbPath)).toMatchObject({ deliveries: 0, dead_letters: 0, timer_schedules: 0 })
    expect(damageOf(service.dbPath)).toEqual([])
  }, 60_000)
})

/** As a careful client does it: with the same idempotency key until there is an answer. */
const submitSurely = async (
  service: Service,
  tenant: string,
  key: string,
  submission: Submission
): Promise<Reference> => {
  const startedAt = performance.now()
  for (;;) {
    const answer = await service.fetch(callsOf(tenant), json(submission, { "idempotency-key": key })).then(
      async (response) => ({ status: response.status, text: await response.text() }),
      () => undefined
    )
    if (answer !== undefined) {
      expect({ ...answer, isAccepted: answer.status === 202 || answer.status === 200 }).toMatchObject({
        isAccepted: true
      })
      return JSON.parse(answer.text)
    }
    if (performance.now() - startedAt > SUBMIT_MS_MAX) throw new Error("the service did not come back")
    await Bun.sleep(RETRY_AFTER_MS)
  }
}

const inMillis = (millis: number): string => new Date(Date.now() + millis).toISOString()
