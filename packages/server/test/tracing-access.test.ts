import { randomBytes } from "node:crypto"
import { afterAll, describe, expect, it } from "vitest"
import { adminKeyOf, makeKey, startKeyed, withKey } from "./access/keyed-service.ts"
import { callsOf, json } from "./client.ts"
import { type Collector, collector } from "./collector.ts"
import { removeLeftovers, Service } from "./process.ts"

const TENANT = "acme"
const SERVER_SPAN = 2
const CALL = {
  name: "later",
  dueAt: "2999-01-01T00:00:00Z",
  requestSpec: { method: "GET", url: "https://example.com/" }
} as const

afterAll(removeLeftovers)

/** What a client that traces sends, so that nobody can say it was not sampled. */
const traceparent = () => ({
  traceparent: `00-${randomBytes(16).toString("hex")}-${randomBytes(8).toString("hex")}-01`
})

/** Once all is exported. */
const requestsIn = ({ spans }: Collector) =>
  spans
    .filter(({ kind }) => kind === SERVER_SPAN)
    .map(({ name, attributes }) => `${name} ${attributes["http.response.status_code"]}`)
    .sort()

describe("requests that are refused at the door", () => {
  it("leave no span where keys are asked for, whatever they send; those that are let in do", async () => {
    await using otel = collector()
    await using service = await startKeyed(otel.env)
    const reading = (await makeKey(service, { tenantId: TENANT, scopes: ["read"] })).key
    const ask = async (path: string, headers: Readonly<Record<string, string>>, body?: unknown) => {
      const all = { ...traceparent(), ...headers }
      const response = await service.fetch(path, body === undefined ? { headers: all } : json(body, all))
      await response.body?.cancel()
      return response.status
    }
    for (const headers of [{}, withKey("esa_unknown"), withKey(`${reading}x`), { authorization: "Basic x" }]) {
      for (const path of [callsOf(TENANT), "/api/admin/keys", "/api/whoami", "/api/nowhere"]) {
        expect(await ask(path, headers)).toBe(401)
      }
      expect(await ask(callsOf(TENANT), headers, CALL)).toBe(401)
    }
    expect(await ask(callsOf(TENANT), withKey(reading), CALL)).toBe(403)
    expect(await ask(callsOf("globex"), withKey(reading))).toBe(404)
    expect(await ask("/api/nowhere", withKey(reading))).toBe(404)
    expect(await ask("/health/ready", withKey(reading))).toBe(200)

    expect(await ask(callsOf(TENANT), withKey(reading))).toBe(200)
    expect(await ask(callsOf(TENANT), withKey(adminKeyOf(service)), CALL)).toBe(202)
    expect(await ask(callsOf(TENANT), withKey(adminKeyOf(service)), {})).toBe(422)
    const unknown = `${callsOf(TENANT)}/00000000-0000-7000-8000-000000000000`
    expect(await ask(unknown, withKey(reading))).toBe(404)
    expect(await service.kill("SIGTERM")).toMatchObject({ exitCode: 0 })
    expect(requestsIn(otel)).toEqual([
      "GET /api/tenants/:tenantId/service-calls 200",
      "GET /api/tenants/:tenantId/service-calls/:serviceCallId 404",
      "POST /api/admin/keys 201",
      "POST /api/tenants/:tenantId/service-calls 202",
      "POST /api/tenants/:tenantId/service-calls 422"
    ])
  })

  it("leave none where no keys are asked for either; an address that nobody knows does", async () => {
    await using otel = collector()
    await using service = await Service.start(otel.env)
    const foreign = json(CALL, { ...traceparent(), "sec-fetch-site": "cross-site" })
    expect((await service.fetch(callsOf(TENANT), foreign)).status).toBe(403)
    expect((await service.fetch(callsOf(TENANT), { headers: traceparent() })).status).toBe(200)
    expect((await service.fetch("/api/nowhere", { headers: traceparent() })).status).toBe(404)
    expect((await service.fetch(callsOf(TENANT), { method: "PATCH", headers: traceparent() })).status).toBe(405)
    expect(await service.kill("SIGTERM")).toMatchObject({ exitCode: 0 })
    expect(requestsIn(otel)).toEqual(["GET /api/tenants/:tenantId/service-calls 200", "GET 404", "_OTHER 405"])
  })
})
