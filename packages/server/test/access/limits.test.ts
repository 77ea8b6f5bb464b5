import { afterAll, describe, expect, it } from "vitest"
import { callsOf, json, listAll, type Reference, type Submission, submit } from "../client.ts"
import { countingTarget } from "../counting-target.ts"
import { removeLeftovers, Service } from "../process.ts"
import { rowCounts, stored } from "../stored.ts"
import { until } from "../until.ts"

const TENANT = "acme"
const callTo = (url: string, changes: Partial<Submission> = {}): Submission => ({
  name: "limited",
  dueAt: "2999-01-01T00:00:00Z",
  requestSpec: { method: "POST", url, body: "b".repeat(2_000) },
  ...changes
})
const call = callTo("https://example.com/")

/** The counter, and what it counts. */
const bytesOf = ({ dbPath }: Service, tenant: string) => {
  const [counted] = stored<{ readonly bytes: number }>(
    dbPath,
    "SELECT bytes FROM stored_bytes WHERE tenant_id = ?",
    tenant
  )
  const [real] = stored<{ readonly bytes: number | null }>(
    dbPath,
    `SELECT sum(octet_length(name) + octet_length(request) + octet_length(tags)
       + coalesce(octet_length(sealed), 0) + coalesce(octet_length(outcome), 0)) AS bytes
     FROM service_calls WHERE tenant_id = ?`,
    tenant
  )
  return { counted: counted?.bytes ?? 0, real: real?.bytes ?? 0 }
}

afterAll(removeLeftovers)

describe("a rate limit", () => {
  it("lets a tenant submit so many calls a second, says what is left, and holds up nobody else", async () => {
    const rate = 10
    await using service = await Service.start({ RATE_LIMIT_SUBMISSIONS: String(rate) })
    const startedAt = performance.now()
    const answers = await Promise.all(Array.from({ length: 40 }, () => service.fetch(callsOf(TENANT), json(call))))
    const seconds = (performance.now() - startedAt) / 1_000
    const accepted = answers.filter(({ status }) => status === 202)
    const refused = answers.filter(({ status }) => status === 429)
    expect(accepted.length + refused.length).toBe(answers.length)
    expect(accepted.length).toBeGreaterThanOrEqual(rate)
    expect(accepted.length).toBeLessThanOrEqual(rate * (1 + seconds))
    for (const { headers } of answers) expect(headers.get("ratelimit-policy")).toBe(`"submissions";q=${rate};w=1`)
    const left = accepted.map(({ headers }) =>
      Number(/^"submissions";r=(\d+);t=1$/.exec(headers.get("ratelimit") ?? "")?.[1])
    )
    expect(Math.max(...left)).toBe(rate - 1)
    for (const answer of refused) {
      expect(answer.headers.get("retry-after")).toBe("1")
      expect(answer.headers.get("ratelimit")).toBe('"submissions";r=0;t=1')
      expect(await answer.json()).toMatchObject({
        type: "urn:event-service-agent:problem:rate-limited",
        limit: "RATE_LIMIT_SUBMISSIONS",
        quota: rate
      })
    }
    const repeated = (tenant: string, body: RequestInit) =>
      Promise.all(Array.from({ length: 10 * rate }, () => service.fetch(callsOf(tenant), body)))
    const statusesOf = async (tenant: string, body: RequestInit) =>
      new Set((await repeated(tenant, body)).map(({ status }) => status))
    // Wrong fields count, what cannot be read does not.
    expect(await statusesOf("wrong", json({ ...call, name: 1 }))).toEqual(new Set([422, 429]))
    expect(await statusesOf("globex", { ...json({}), body: "{" })).toEqual(new Set([400]))
    const other = await service.fetch(callsOf("globex"), json(call))
    expect([other.status, other.headers.get("ratelimit")]).toEqual([202, `"submissions";r=${rate - 1};t=1`])
    // What was refused has left nothing behind.
    expect(rowCounts(service.dbPath)["submissions"]).toBe(accepted.length + 1)
    expect(await listAll(service, TENANT)).toHaveLength(accepted.length)
  })

  it("counts a repetition as a submission, and does not count what only looks", async () => {
    await using service = await Service.start({ RATE_LIMIT_SUBMISSIONS: "2" })
    const first = await service.fetch(callsOf(TENANT), json({ ...call, keepRequest: true }))
    const { links }: Reference = await first.json()
    const answers = await Promise.all(Array.from({ length: 10 }, () => service.fetch(`${links.self}/resend`, json({}))))
    expect(answers.some(({ status }) => status === 429)).toBe(true)
    expect(answers.some(({ status }) => status === 202)).toBe(true)
    const looks = await Promise.all(Array.from({ length: 10 }, () => service.fetch(links.self)))
    expect(looks.every(({ status, headers }) => status === 200 && !headers.has("ratelimit"))).toBe(true)
    const rest = await until("the limit is over", async () => {
      const answer = await service.fetch(`${links.self}/resend`, json({}))
      return answer.status === 202 && answer
    })
    expect(rest.headers.get("ratelimit-policy")).toBe('"submissions";q=2;w=1')
  })

  it("counts a change of tags as a submission, and lets a tenant cancel as fast as it can", async () => {
    const rate = 20
    await using service = await Service.start({ RATE_LIMIT_SUBMISSIONS: String(rate) })
    const calls = await Promise.all(Array.from({ length: rate / 2 }, () => submit(service, TENANT, call)))
    const [first] = calls
    const setTags = (tag: string, tenant = TENANT) =>
      service.fetch(`${callsOf(tenant)}/${first?.serviceCallId}/tags`, { ...json({ tags: [tag] }), method: "PUT" })
    const startedAt = performance.now()
    const answers = await Promise.all(Array.from({ length: 5 * rate }, (_, number) => setTags(`tag ${number}`)))
    const seconds = (performance.now() - startedAt) / 1_000
    const changed = answers.filter(({ status }) => status === 200)
    const refused = answers.filter(({ status }) => status === 429)
    expect(changed.length + refused.length).toBe(answers.length)
    expect(changed.length).toBeGreaterThan(0)
    expect(changed.length).toBeLessThanOrEqual(rate * (1 + seconds))
    expect(refused.length).toBeGreaterThan(0)
    for (const { headers } of answers) expect(headers.get("ratelimit-policy")).toBe(`"submissions";q=${rate};w=1`)
    for (const { headers } of changed) expect(headers.get("ratelimit")).toMatch(/^"submissions";r=\d+;t=1$/)
    expect(Object.fromEntries(refused[0]?.headers ?? [])).toMatchObject({
      "retry-after": "1",
      ratelimit: '"submissions";r=0;t=1'
    })
    expect(await refused[0]?.json()).toMatchObject({ limit: "RATE_LIMIT_SUBMISSIONS", quota: rate })
    // Of those that were refused nothing is left.
    const [events] = stored<{ readonly changes: number }>(
      service.dbPath,
      "SELECT count(*) AS changes FROM outbox WHERE type = 'ServiceCallTagsChanged'"
    )
    expect(events?.changes).toBe(changed.length)
    // Wrong ones do not count.
    const wrong = await Promise.all(Array.from({ length: 3 * rate }, () => setTags("", "wrong")))
    expect(new Set(wrong.map(({ status }) => status))).toEqual(new Set([422]))
    // It takes from the tenant that the path names, also when there is no such call.
    expect((await setTags("other", "globex")).status).toBe(404)

    const cancelled = await Promise.all(
      calls.map(({ serviceCallId }) => service.fetch(`${callsOf(TENANT)}/${serviceCallId}/cancel`, { method: "POST" }))
    )
    expect(cancelled.map(({ status, headers }) => [status, headers.has("ratelimit")])).toEqual(
      calls.map(() => [200, false])
    )
  })
})

describe("a quota of calls that have not ended", () => {
  it("is never exceeded, and answers again what it had accepted before", async () => {
    await using service = await Service.start({ QUOTA_PENDING_CALLS: "10" })
    const keyed = (key: number) => ({ ...call, idempotencyKey: `key ${key}`.replace(" ", "-") })
    const answers = await Promise.all(
      Array.from({ length: 64 }, (_, key) => service.fetch(callsOf(TENANT), json(keyed(key))))
    )
    const accepted = answers.flatMap(({ status }, key) => (status === 202 ? [key] : []))
    const refused = answers.filter(({ status }) => status === 429)
    expect({ accepted: accepted.length, refused: refused.length }).toEqual({ accepted: 10, refused: 54 })
    expect(rowCounts(service.dbPath)).toMatchObject({ submissions: 10, service_calls: 10 })
    for (const answer of refused) {
      expect(answer.headers.get("retry-after")).toBe("10")
      expect(answer.headers.get("ratelimit")).toBe('"pending-calls";r=0')
      expect(await answer.json()).toMatchObject({
        type: "urn:event-service-agent:problem:quota-exceeded",
        limit: "QUOTA_PENDING_CALLS",
        quota: 10,
        used: 10
      })
    }
    for (const key of accepted) {
      const replay = await service.fetch(callsOf(TENANT), json(keyed(key)))
      expect({ status: replay.status, replayed: replay.headers.get("idempotency-replayed") }).toEqual({
        status: 200,
        replayed: "true"
      })
    }
    const reused = await service.fetch(callsOf(TENANT), json({ ...keyed(accepted[0] ?? 0), name: "other" }))
    expect(reused.status).toBe(409)
    expect((await service.fetch(callsOf("globex"), json(call))).status).toBe(202)

    const [one] = await listAll(service, TENANT)
    const path = `${callsOf(TENANT)}/${one?.serviceCallId}`
    expect((await service.fetch(`${path}/resend`, json({}))).status).toBe(429)
    expect((await service.fetch(`${path}/cancel`, json({}))).status).toBe(200)
    // The last place, many times with the same key: one call.
    const same = await Promise.all(
      Array.from({ length: 16 }, () => service.fetch(callsOf(TENANT), json({ ...call, idempotencyKey: "same" })))
    )
    expect(same.map(({ status }) => status).sort()).toEqual([...new Array(15).fill(200), 202])
    expect((await service.fetch(callsOf(TENANT), json(call))).status).toBe(429)
    await service.kill("SIGKILL")
    await service.restart()
    expect((await service.fetch(callsOf(TENANT), json(call))).status).toBe(429)
  })
})

describe("a quota over NATS", () => {
  it("holds while the broker is away and nobody processes what is accepted", async () => {
    const nobody = countingTarget()
    await nobody[Symbol.asyncDispose]()
    await using service = await Service.start({ NATS_URL: `nats://${nobody.host}`, QUOTA_PENDING_CALLS: "10" })
    const answers = await Promise.all(Array.from({ length: 32 }, () => service.fetch(callsOf(TENANT), json(call))))
    expect(answers.filter(({ status }) => status === 202)).toHaveLength(10)
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(22)
    expect(rowCounts(service.dbPath)).toMatchObject({ submissions: 10, service_calls: 0 })
    expect((await service.fetch(callsOf("globex"), json(call))).status).toBe(202)
  })
})

describe("a quota of stored bytes", () => {
  it("counts what calls hold, and gives it back when they end and when they are deleted", async () => {
    await using target = countingTarget(() => new Response("thank you"))
    await using service = await Service.start({
      EGRESS_ALLOW: target.host,
      QUOTA_STORED_BYTES: "30000",
      RETENTION_FINISHED: "1s"
    })
    const answers = await Promise.all(
      Array.from({ length: 40 }, () =>
        service.fetch(callsOf(TENANT), json(callTo(target.url, { name: "ö".repeat(50), tags: ["ä", "b"] })))
      )
    )
    const accepted = answers.filter(({ status }) => status === 202).length
    expect(accepted).toBeGreaterThan(10)
    expect(accepted).toBeLessThan(15)
    const full = bytesOf(service, TENANT)
    expect(full.counted).toBe(full.real)
    expect(full.counted).toBeLessThanOrEqual(30_000)
    const refused = answers.find(({ status }) => status === 429)
    expect(refused?.headers.get("ratelimit-policy")).toBe('"stored-bytes";q=30000;qu="content-bytes"')
    expect(refused?.headers.get("ratelimit")).toBe(`"stored-bytes";r=${30_000 - full.counted}`)
    expect(refused?.headers.get("retry-after")).toBe("3600")
    const problem: { readonly detail: string } = (await refused?.json()) ?? { detail: "" }
    expect(problem).toMatchObject({ limit: "QUOTA_STORED_BYTES", used: full.counted })
    // What it takes a call for is what the call takes.
    expect(problem.detail).toContain(`this one would add ${full.counted / accepted},`)
    for (const tenant of [TENANT, "globex"]) {
      const large = callTo(target.url, { requestSpec: { method: "POST", url: target.url, body: "b".repeat(30_000) } })
      const answer = await service.fetch(callsOf(tenant), json(large))
      expect([answer.status, answer.headers.get("retry-after"), answer.headers.get("ratelimit")]).toEqual([
        413,
        null,
        null
      ])
      const { detail, ...tooLarge }: { readonly detail: string } = await answer.json()
      expect(tooLarge).toMatchObject({ type: "urn:event-service-agent:problem:content-too-large" })
      expect(detail).toContain("all calls of the tenant together may hold 30000 (QUOTA_STORED_BYTES)")
    }
    expect(bytesOf(service, TENANT)).toEqual(full)
    const [tagged] = await listAll(service, TENANT)
    const tags = { ...json({ tags: ["a tag of 20 letters."] }), method: "PUT" }
    expect((await service.fetch(`${callsOf(TENANT)}/${tagged?.serviceCallId}/tags`, tags)).status).toBe(200)
    const more = '["a tag of 20 letters."]'.length - Buffer.byteLength('["ä","b"]')
    expect(bytesOf(service, TENANT)).toEqual({ counted: full.counted + more, real: full.counted + more })

    for (const { serviceCallId } of await listAll(service, TENANT)) {
      expect((await service.fetch(`${callsOf(TENANT)}/${serviceCallId}/cancel`, json({}))).status).toBe(200)
    }
    const now = callTo(target.url, { dueAt: new Date().toISOString(), keepRequest: true })
    const done = await service.fetch(callsOf(TENANT), json(now, { prefer: "wait=20" }))
    expect(done.status).toBe(200)
    const { counted, real } = bytesOf(service, TENANT)
    expect(counted).toBe(real)
    expect(counted).toBeLessThan(full.counted / 2)
    expect(counted).toBeGreaterThan(2_000)
    await until("retention has deleted all", () => rowCounts(service.dbPath)["service_calls"] === 0, 20_000)
    expect(bytesOf(service, TENANT)).toEqual({ counted: 0, real: 0 })
  })
})
