import { join } from "node:path"
import { afterAll, describe, expect, it } from "vitest"
import { callsOf, type Detail, detailOf, json, type Submission, submit } from "../client.ts"
import { countingTarget } from "../counting-target.ts"
import { removeLeftovers, Service, temporaryFolder } from "../process.ts"
import { stored } from "../stored.ts"
import { until } from "../until.ts"

const TENANT = "acme"
/** Time enough to end the program that accepted the call. */
const DUE_IN_MS = 4_000
/** Whatever was found, people and other services get to know nothing of it. */
const REFUSAL = {
  kind: "BlockedDestination",
  sent: "no",
  message:
    "The target has an address that may not be called from here. The operator can open it with EGRESS_ALLOW, on each executor"
}
/** Addresses that must not be told: the target's own is in the settings, and in what the operator opened. */
const INSIDE = /127\.0\.0\.1|::ffff|169\.254|10\.0\.0\.7/

const command = [process.execPath, join(import.meta.dirname, "main-with-hosts.ts")]

afterAll(removeLeftovers)

const post = (url: string): Submission => ({
  name: "call",
  requestSpec: { method: "POST", url, headers: { authorization: "Bearer secret" }, body: "secret" }
})

const endOf = (service: Service, serviceCallId: string): Promise<Detail> =>
  until("the call has ended", async () => {
    const detail = await detailOf(service, TENANT, serviceCallId)
    return detail.outcome !== null && detail
  })

describe("a call to a name that leads inside", () => {
  it("fails for good with one generic answer, and nothing is sent", async () => {
    await using target = countingTarget(({ path }) =>
      path === "/away"
        ? Response.redirect(`http://inside.example:${new URL(target.url).port}/`, 307)
        : new Response("ok")
    )
    const { port } = new URL(target.url)
    const hosts = {
      "opened.example": ["127.0.0.1"],
      "inside.example": ["127.0.0.1"],
      "mapped.example": ["::ffff:127.0.0.1"],
      "mixed.example": ["93.184.215.14", "127.0.0.1"],
      "metadata.example": ["169.254.169.254"],
      "private.example": ["10.0.0.7"]
    }
    const env = { EGRESS_ALLOW: `opened.example:${port}`, HOSTS: JSON.stringify(hosts), LOG_LEVEL: "trace" }
    await using service = await Service.start(env, { command })
    const { "opened.example": _, ...refused } = hosts
    const urls = Object.keys(refused).map((host) => `http://${host}:${port}/`)
    const ids = await Promise.all(
      // The operator opened one port only.
      [...urls, "http://opened.example:1/"].map(async (url) => (await submit(service, TENANT, post(url))).serviceCallId)
    )
    for (const id of ids) {
      const detail = await endOf(service, id)
      expect(detail.status).toBe("Failed")
      expect(detail.outcome).toEqual({ type: "Failed", error: REFUSAL })
      expect(detail.latenessMs).toBeNull()
      expect(detail.history.map(({ status }) => status)).toEqual(["Submitted", "Scheduled", "Running", "Failed"])
      expect(JSON.stringify(detail)).not.toMatch(INSIDE)
    }
    expect(target.count).toBe(0)
    const events = stored<{ readonly payload: string }>(service.dbPath, "SELECT payload FROM outbox")
    expect(events.length).toBeGreaterThan(ids.length)
    expect(events.filter(({ payload }) => INSIDE.test(payload))).toEqual([])
    const calls = service.logs.filter(({ annotations }) => "serviceCallId" in annotations)
    expect(calls.length).toBeGreaterThan(ids.length)
    expect(calls.filter((line) => INSIDE.test(JSON.stringify(line)))).toEqual([])

    // The same target under the name that was opened, which sends on to the inside.
    const away = await submit(service, TENANT, post(`http://opened.example:${port}/away`))
    const error = { kind: "HttpStatus", sent: "yes", status: 307 }
    expect((await endOf(service, away.serviceCallId)).outcome).toMatchObject({ type: "Failed", error })
    expect([...target.byKey.keys()]).toEqual([away.serviceCallId])
    expect(target.count).toBe(1)
  })
})

describe("a call that was accepted when its target was open", () => {
  it("is judged again when it is due: closed by then, it gets nothing", async () => {
    await using target = countingTarget()
    using folder = temporaryFolder()
    const { port } = new URL(target.url)
    const allow = { EGRESS_ALLOW: `${target.host},localhost:${port}` }
    const first = await Service.start(allow, { folder: folder.path })
    const now = await submit(first, TENANT, post(`http://localhost:${port}/`))
    expect((await endOf(first, now.serviceCallId)).status).toBe("Succeeded")
    const later = new Date(Date.now() + DUE_IN_MS).toISOString()
    const { serviceCallId } = await submit(first, TENANT, { ...post(target.url), dueAt: later })
    await first[Symbol.asyncDispose]()

    await using service = await Service.start({}, { folder: folder.path })
    const detail = await endOf(service, serviceCallId)
    expect(detail.outcome).toMatchObject({ type: "Failed", error: REFUSAL })
    expect(detail.latenessMs).toBeNull()
    expect([...target.byKey.keys()]).toEqual([now.serviceCallId])
    const again = await service.fetch(callsOf(TENANT), json(post(target.url)))
    expect(again.status).toBe(422)
  })
})
