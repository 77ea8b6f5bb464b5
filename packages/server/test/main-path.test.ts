import { afterAll, describe, expect, it } from "vitest"
import { callsOf, countOf, detailOf, listAll, type Submission, type Summary, sideBySide, submit } from "./client.ts"
import { type Arrival, countingTarget } from "./counting-target.ts"
import { removeLeftovers, Service } from "./process.ts"
import { until } from "./until.ts"

const CALLS = 2_000
const CLIENTS = 64
const TENANTS = ["acme", "globex"] as const
const METHODS = ["POST", "PUT", "PATCH", "DELETE", "GET"] as const
/** Scheduled calls are due this long after their submission, at least and at most. */
const DUE_IN_MS_MIN = 300
const DUE_IN_MS_MAX = 3_300

afterAll(removeLeftovers)

describe("the main path", () => {
  it("makes each call exactly once, never early, and tells what happened", async () => {
    await using target = countingTarget(({ path }) => new Response(`made ${path}`, { status: 201 }))
    await using service = await Service.start({ EGRESS_ALLOW: target.host })
    const submitted = new Map<string, { readonly tenant: string; readonly submission: Submission }>()

    await sideBySide(Array(CALLS).keys(), CLIENTS, async (number) => {
      const tenant = TENANTS[number % 2] ?? "acme"
      const method = METHODS[number % METHODS.length] ?? "POST"
      const submission: Submission = {
        name: `call ${number}`,
        requestSpec: {
          method,
          url: `${target.url}/hook/${number}?q=%20x&n=${number}`,
          headers: { "content-type": "application/x-thing; charset=utf-8", "X-Number": `${number}` },
          ...(method === "GET" ? {} : { body: `  {"n": ${number}}\r\n"grüße ✓"\u0000 ` })
        },
        ...(number % 4 < 2 ? {} : { dueAt: inMillis(spread(number)) })
      }
      submitted.set((await submit(service, tenant, submission)).serviceCallId, { tenant, submission })
    })
    expect(submitted.size).toBe(CALLS)

    for (const tenant of TENANTS) {
      const ended = async () => (await countOf(service, tenant, "Submitted", "Scheduled", "Running")) === 0
      await until(`every call of ${tenant} has ended`, ended, 15_000)
    }

    const lists = await Promise.all(TENANTS.map((tenant) => listAll(service, tenant)))
    expect(target.count).toBe(CALLS)
    for (const [index, list] of lists.entries()) {
      const expected = [...submitted].filter(([, { tenant }]) => tenant === TENANTS[index]).map(([id]) => id)
      expect(list.map((call) => call.serviceCallId).sort()).toEqual(expected.sort())
      expect(list.map(placeOf)).toEqual(list.map(placeOf).sort().reverse())
    }
    for (const call of lists.flat()) {
      const arrivals = target.byKey.get(call.serviceCallId) ?? []
      expect({ call: call.serviceCallId, arrivals: arrivals.length, status: call.status }).toEqual({
        call: call.serviceCallId,
        arrivals: 1,
        status: "Succeeded"
      })
      for (const arrival of arrivals) {
        expect(arrival.arrivedAt).toBeGreaterThanOrEqual(Date.parse(call.dueAt))
        expectUnchanged(arrival, submitted.get(call.serviceCallId)?.submission)
      }
      expect(call.latenessMs).toBeGreaterThanOrEqual(0)
    }

    for (const { tenantId, serviceCallId, name } of lists.flat().filter((_, index) => index % 100 === 0)) {
      const detail = await detailOf(service, tenantId, serviceCallId)
      const number = name.replace("call ", "")
      const bodySnippet = `made /hook/${number}?q=%20x&n=${number}`
      expect(detail.outcome).toMatchObject({
        type: "Succeeded",
        response: { status: 201, bodySnippet, bodyBytes: bodySnippet.length }
      })
      expect(detail.history.map(({ status }) => status)).toEqual(["Submitted", "Scheduled", "Running", "Succeeded"])
      expect(detail.attempt?.number).toBe(1)
    }
  })

  it("says of each failure what it was and whether the request was sent", async () => {
    await using target = countingTarget(async ({ path }) => {
      if (path === "/silent") return new Promise<Response>(() => {})
      if (path === "/moved") return Response.redirect("/elsewhere", 302)
      return new Response("it broke", { status: 503 })
    })
    const closed = countingTarget()
    await closed[Symbol.asyncDispose]()
    await using service = await Service.start({ EGRESS_ALLOW: `${target.host},${closed.host}` })
    const failures = [
      [`${target.url}/broken`, { kind: "HttpStatus", sent: "yes", status: 503, bodySnippet: "it broke" }],
      [`${target.url}/moved`, { kind: "HttpStatus", sent: "yes", status: 302 }],
      [`${target.url}/silent`, { kind: "Timeout", sent: "maybe" }],
      [`${closed.url}/gone`, { kind: "ConnectionFailed", sent: "no" }]
    ] as const
    for (const [url, error] of failures) {
      const timeoutMs = url.endsWith("/silent") ? 2_000 : 30_000
      const submission: Submission = { name: "failing", timeoutMs, requestSpec: { method: "POST", url } }
      const { serviceCallId } = await submit(service, "acme", submission)
      const detail = await until("the call has failed", async () => {
        const found = await detailOf(service, "acme", serviceCallId)
        return found.status === "Failed" && found
      })
      expect(detail.outcome).toMatchObject({ type: "Failed", error })
      expect(detail.latenessMs === null).toBe(error.sent === "no")
      expect(target.byKey.get(serviceCallId)?.length ?? 0).toBe(error.sent === "no" ? 0 : 1)
    }
    expect(target.count).toBe(3)
  })

  it("filters the list, and pages through what is left", async () => {
    await using target = countingTarget()
    await using service = await Service.start({ EGRESS_ALLOW: target.host })
    const later = (days: number) => inMillis(days * 86_400_000)
    for (const number of Array(7).keys()) {
      const tags = number < 3 ? ["a", "b"] : ["a"]
      await submit(service, "acme", {
        name: `number ${number}`,
        tags,
        dueAt: later(number + 1),
        requestSpec: { method: "GET", url: target.url }
      })
    }
    const names = async (query: string) => (await listAll(service, "acme", query)).map(({ name }) => name.slice(-1))
    await until("all are scheduled", async () => (await countOf(service, "acme", "Scheduled")) === 7)
    expect(await names("")).toEqual(["6", "5", "4", "3", "2", "1", "0"])
    expect(await names("&tag=a&tag=b")).toEqual(["2", "1", "0"])
    expect(await names("&q=NUMBER%205")).toEqual(["5"])
    expect(await names("&status=Running")).toEqual([])
    const [from, to] = [encodeURIComponent(later(2.5)), encodeURIComponent(later(4.5))]
    expect(await names(`&from=${from}&to=${to}`)).toEqual(["3", "2"])

    const seen: Array<string> = []
    let cursor: string | null = ""
    while (cursor !== null) {
      const after: string = cursor === "" ? "" : `&cursor=${encodeURIComponent(cursor)}`
      const response = await service.fetch(`${callsOf("acme")}?limit=2&tag=a${after}`)
      const page: { readonly items: ReadonlyArray<Summary>; readonly next: string | null } = await response.json()
      seen.push(...page.items.map(({ name }) => name.slice(-1)))
      cursor = page.next
    }
    expect(seen).toEqual(["6", "5", "4", "3", "2", "1", "0"])
    expect(await listAll(service, "globex")).toEqual([])
    expect(target.count).toBe(0)
  })
})

/** Spreads numbers evenly, but not in order, over the time in which scheduled calls are due. */
const spread = (number: number): number => DUE_IN_MS_MIN + ((number * 7_919) % (DUE_IN_MS_MAX - DUE_IN_MS_MIN))

const inMillis = (millis: number): string => new Date(Date.now() + millis).toISOString()

/** Sorts as the list is ordered, the other way round. */
const placeOf = ({ acceptedAt, serviceCallId }: Summary): string => `${acceptedAt} ${serviceCallId}`

const expectUnchanged = (arrival: Arrival, submission: Submission | undefined): void => {
  const { method, url, headers = {}, body = "" } = submission?.requestSpec ?? { method: "", url: "" }
  const path = url.slice(url.indexOf("/hook"))
  expect({ method: arrival.method, path: arrival.path, body: arrival.body }).toEqual({ method, path, body })
  for (const [name, value] of Object.entries(headers)) expect(arrival.headers.get(name)).toBe(value)
}
