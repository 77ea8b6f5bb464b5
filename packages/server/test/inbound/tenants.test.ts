import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { callsOf, json, listAll, type Reference } from "../client.ts"
import { type CountingTarget, countingTarget } from "../counting-target.ts"
import { removeLeftovers, Service } from "../process.ts"
import { Random } from "../random.ts"
import { askWith, type Question } from "./asking.ts"
import { type Contract, type Operation, readContract } from "./contract-document.ts"
import { generateUuid, makeGenerate } from "./generate-value.ts"
import { callOf, classify, type Populated, pathOf, populate, rowsOf, SHARED_KEY, secretsOf } from "./tenants.ts"

const STATUSES = ["Cancelled", "Failed", "Running", "Scheduled", "Submitted", "Succeeded"]
const MARKS = { acme: "Quagga4711", globex: "Thylacine0815" }
/** Whose names a careless comparison takes for `acme`: by letter case, as a pattern, as a beginning. */
const STRANGERS = ["Acme", "acm_", "____", "acme-1", "acm", "acme_"]
const JSON_TYPE = ["content-type", "application/json"] as const
const random = new Random(4711)

afterAll(removeLeftovers)

describe("a tenant with calls in every state and dead letters", () => {
  let target: CountingTarget
  let service: Service
  let contract: Contract
  let owners: ReadonlyArray<Populated>
  beforeAll(async () => {
    target = countingTarget(async ({ path }) => {
      if (path.startsWith("/hangs")) await new Promise(() => {})
      return new Response("ok", { status: path.startsWith("/fails") ? 500 : 200 })
    })
    service = await Service.start({ EGRESS_ALLOW: target.host })
    contract = await readContract(service)
    owners = await populate(service, MARKS, target.url)
  })
  afterAll(async () => {
    await service[Symbol.asyncDispose]()
    await target[Symbol.asyncDispose]()
  })

  /** Who has something, and who asks for it. */
  const pairs = (): ReadonlyArray<readonly [owner: Populated, asking: string]> =>
    owners.flatMap((owner) =>
      [...Object.keys(MARKS), ...STRANGERS]
        .filter((asking) => asking !== owner.tenant)
        .map((asking) => [owner, asking] as const)
    )

  /** The question to the operation with these values in its path, and the body that its schema wants. */
  const questionTo = (operation: Operation, values: Readonly<Record<string, string>>, query = ""): Question => {
    const generate = makeGenerate(random, contract, new Map([["url", ["https://example.com/"]]]))
    const { body } = operation
    return {
      method: operation.method,
      target: pathOf(operation, values) + query,
      ...(body === undefined ? {} : { headers: [JSON_TYPE], body: JSON.stringify(generate(body.schema, "")) })
    }
  }

  it("sees all of it itself, so that the search for it can find something", async () => {
    for (const owner of owners) {
      const calls = await listAll(service, owner.tenant)
      expect(calls.map(({ status }) => status).sort()).toEqual(STATUSES)
      const details = await Promise.all(
        calls.map(({ serviceCallId }) => service.fetch(`${callsOf(owner.tenant)}/${serviceCallId}`))
      )
      const shown = (await Promise.all(details.map((detail) => detail.text()))).join()
      expect(shown.split(owner.mark).length).toBeGreaterThan(4 * STATUSES.length)
      expect(shown).toContain(`Error: ${owner.mark}`)
      const found = secretsOf(service.dbPath, owner).filter((secret) => shown.includes(secret))
      // The mark, and of each call its id and its correlation id, which one of them shares with its copy.
      expect(found.length).toBe(2 * STATUSES.length)
    }
  })

  it("shows none of it to another one, on any route of the contract, and nobody else can change it", async () => {
    const { ofTenants } = classify(contract)
    const asked = new Set<string>()
    for (const [owner, asking] of pairs()) {
      const secrets = secretsOf(service.dbPath, owner)
      const before = rowsOf(service.dbPath, owner.tenant)
      for (const operation of ofTenants) {
        const isOfOne = operation.path.includes("{serviceCallId}")
        const unknown = { tenantId: asking, serviceCallId: generateUuid(random) }
        const questions = isOfOne
          ? [...owner.ids.values()].map((serviceCallId) => questionTo(operation, { tenantId: asking, serviceCallId }))
          : (await queriesFor(operation, owner)).map((query) => questionTo(operation, unknown, query))
        for (const question of questions) {
          const { target, method } = question
          const answer = await comparable(question)
          // What was in the question may come back in the problem.
          const echoed = secrets.filter((secret) => !decodeURIComponent(target).includes(secret))
          expect({ method, target, found: echoed.filter((secret) => answer.includes(secret)) }).toEqual({
            method,
            target,
            found: []
          })
          if (isOfOne) {
            const nobodys = await comparable({ ...question, target: pathOf(operation, unknown) })
            expect({ method, target, answer }).toEqual({ method, target, answer: nobodys })
            expect(answer).toContain("404 ")
          }
          asked.add(operation.id)
        }
      }
      expect(rowsOf(service.dbPath, owner.tenant)).toBe(before)
    }
    expect([...asked].sort()).toEqual(ofTenants.map(({ id }) => id).sort())
  })

  it("is not heard of on the routes for anyone", async () => {
    const routes = classify(contract).forAnyone.map((operation) => questionTo(operation, {}))
    const others = ["/", "/page.json", "/docs", "/openapi.json", "/asyncapi.json", "/metrics", "/nothing"].map(
      (path) => ({ method: "GET", target: path })
    )
    for (const question of [...routes, ...others]) {
      const answer = await comparable(question)
      for (const owner of owners) {
        const secrets = [owner.tenant, ...secretsOf(service.dbPath, owner)]
        expect({ ...question, found: secrets.filter((secret) => answer.includes(secret)) }).toEqual({
          ...question,
          found: []
        })
      }
    }
  })

  it("may use the idempotency keys of another one: they are keys of its own", async () => {
    const ids = new Map<string, string>()
    for (const [owner, asking] of pairs().filter(([owner]) => owner.tenant === "acme")) {
      const own = callOf("own", target.url, "ok", { dueAt: "2999-01-01T00:00:00Z", idempotencyKey: SHARED_KEY })
      const response = await service.fetch(callsOf(asking), json(own))
      const text = await response.text()
      // The other one with a mark has used the key: for it, this is other content.
      expect({ asking, status: response.status }).toEqual({ asking, status: asking in MARKS ? 409 : 202 })
      expect(text).not.toContain(owner.ids.get("Scheduled"))
      const { serviceCallId }: Reference = JSON.parse(text)
      ids.set(asking, serviceCallId)
    }
    expect(new Set(ids.values()).size).toBe(ids.size)
    const replay = callOf(MARKS.acme, target.url, "ok", { dueAt: "2999-01-01T00:00:00Z" })
    const response = await service.fetch(callsOf("acme"), json(replay, { "idempotency-key": SHARED_KEY }))
    expect(response.status).toBe(200)
    expect(await response.json()).toMatchObject({ serviceCallId: owners[0]?.ids.get("Scheduled") })
  })

  /** What a stranger may ask a list for: all, by state, and by what the owner has, its cursors among it. */
  const queriesFor = async (
    { method }: Operation,
    { tenant, mark, ids }: Populated
  ): Promise<ReadonlyArray<string>> => {
    if (method !== "GET") return [""]
    const cursors = await Promise.all(
      [1, 2, 3].map(async (limit) => (await service.fetch(`${callsOf(tenant)}?limit=${limit}`)).json())
    )
    return [
      "",
      "?limit=100",
      ...STATUSES.map((status) => `?status=${status}`),
      `?${STATUSES.map((status) => `status=${status}`).join("&")}`,
      `?tag=${mark}-tag`,
      "?tag=common",
      `?tag=common&tag=${mark}-tag`,
      `?q=${mark}`,
      "?q=",
      `?q=${ids.get("Scheduled")}`,
      "?from=0001-01-01T00:00:00Z&to=9999-12-31T00:00:00Z",
      ...cursors.map((page: { readonly next: string }) => `?cursor=${page.next}`)
    ]
  }

  /** All of an answer but what differs from one to the next. */
  const comparable = async (question: Question): Promise<string> => {
    const { status, headers, body } = await askWith(service, question)
    const correlationId = headers.get("x-correlation-id") ?? "none"
    const kept = [...headers].filter(([name]) => name !== "date" && name !== "x-correlation-id")
    return `${status} ${JSON.stringify(kept)} ${body.replaceAll(correlationId, "")}`
  }
})

describe("the list of routes that need no tenant", () => {
  it("has to name every one of them", () => {
    const operation = {
      id: "new.route",
      method: "GET",
      path: "/api/new",
      parameters: [],
      body: undefined,
      statuses: new Set([200])
    }
    expect(() => classify({ operations: [operation] })).toThrow("new.route")
    expect(() => pathOf({ ...operation, path: "/api/tenants/{tenantId}/{other}" }, { tenantId: "acme" })).toThrow(
      "other"
    )
  })
})
