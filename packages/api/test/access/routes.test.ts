import { fromMillis } from "@event-service-agent/schemas/time"
import { HttpApi } from "effect/http-api"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import type { Access, Scope } from "../../src/access/scope.ts"
import { SCOPES } from "../../src/access/scope.ts"
import { ACCESS_BY_ROUTE, Api } from "../../src/contract.ts"
import type { StoredApiKey } from "../../src/ports/api-key-store.ts"
import { goodBody } from "../testing.ts"
import { acme, globex, keyedApi, keyWith } from "./keyed-api.ts"

interface Route {
  readonly name: string
  readonly method: string
  readonly path: string
  readonly access: Access
}

/** Every route of the contract, and those beside it with what they are to ask for. */
const routes: Array<Route> = [
  { name: "metrics", method: "GET", path: "/metrics", access: "operators" },
  ...["/openapi.json", "/asyncapi.json", "/docs"].map(
    (path): Route => ({ name: path, method: "GET", path, access: "open" })
  )
]
HttpApi.reflect(Api, {
  onGroup: () => {},
  onEndpoint: ({ group, endpoint }) => {
    const name = `${group.identifier}.${endpoint.identifier}`
    const access = ACCESS_BY_ROUTE.get(name)
    if (access === undefined) throw new Error(`nobody has said what ${name} asks for`)
    routes.push({ name, method: endpoint.method, path: endpoint.path, access })
  }
})

const BODIES: Readonly<Record<string, unknown>> = {
  "serviceCalls.submit": goodBody,
  "serviceCalls.cancel": {},
  "serviceCalls.resend": {},
  "serviceCalls.setTags": { tags: ["a"] },
  "admin.republish": { since: "2026-01-01T00:00:00Z" },
  "access.createKey": { tenantId: "acme", scopes: ["read"] }
}
/** What the right key may be answered beside success, because there is nothing of the kind. */
const EMPTY = /"urn:event-service-agent:problem:(dead-letter-not-found|no-broker|key-not-found|request-not-kept)"/

const made: Array<StoredApiKey> = []
const headerOf = (changes: Partial<StoredApiKey>): string => {
  const { stored, text } = keyWith(changes)
  made.push(stored)
  return `Bearer ${text}`
}
const ofTenant = { read: headerOf({ scopes: ["read"] }), submit: headerOf({ scopes: ["submit"] }) }
const ofOther = headerOf({ tenantId: globex })
const ofNobody = headerOf({ tenantId: "*", scopes: ["read", "submit"] })
const forAll: Readonly<Record<Scope, string>> = {
  read: headerOf({ tenantId: "*", scopes: ["read"] }),
  submit: headerOf({ tenantId: "*", scopes: ["submit"] }),
  admin: headerOf({ tenantId: "*", scopes: ["admin"] })
}
const live = headerOf({})
const deadKeys: Readonly<Record<string, string | undefined>> = {
  none: undefined,
  empty: "",
  "another scheme": live.replace("Bearer", "Basic"),
  "no scheme": live.replace("Bearer ", ""),
  "two of them": `${live}, ${live}`,
  malformed: `${live}x`,
  "an unknown id": `Bearer ${keyWith({}).text}`,
  "a wrong secret": live.slice(0, -8) + keyWith({}).text.slice(-8),
  "another's secret": live.slice(0, -43) + ofOther.slice(-43),
  expired: headerOf({ expiresAt: fromMillis(1_000) }),
  revoked: headerOf({ revokedAt: fromMillis(1_000) })
}

describe("a route", () => {
  let api: ReturnType<typeof keyedApi>
  let call = ""
  beforeAll(async () => {
    api = keyedApi(made)
    const submitted = await api.ask("POST", "/api/tenants/acme/service-calls", ofTenant.submit, goodBody)
    call = (await submitted.json()).serviceCallId
  })
  afterAll(() => api.dispose())

  const ask = async ({ name, method, path }: Route, authorization: string | undefined, tenant: string = acme) => {
    const values: Readonly<Record<string, string>> = {
      tenantId: tenant,
      serviceCallId: call,
      consumer: "timer",
      seq: "1",
      keyId: "000000000000"
    }
    const filled = path.replaceAll(/:(\w+)/g, (_, parameter: string) => {
      const value = values[parameter]
      if (value === undefined) throw new Error(`the test does not know the parameter ${parameter} of ${name}`)
      return value
    })
    const answer = await api.ask(method, filled, authorization, BODIES[name])
    const { status, headers } = answer
    const isProblem = method !== "HEAD" && headers.get("content-type") === "application/problem+json"
    const text = isProblem ? await answer.text() : ""
    if (!isProblem) await answer.body?.cancel()
    const problem: string = isProblem ? JSON.parse(text).type.split(":").at(-1) : "none"
    const scope: string | undefined = isProblem ? JSON.parse(text).scope : undefined
    const kept = [...headers].filter(([header]) => header !== "x-correlation-id")
    const comparable = JSON.stringify([status, kept, text.replace(/"correlationId":"[^"]+"/, "")])
    return { name, status, problem, scope, text, comparable, challenge: headers.get("www-authenticate") }
  }
  const asking = (test: (route: Route) => boolean) => routes.filter(test)

  it("is known to this test, with those of each kind", () => {
    expect(routes.length).toBeGreaterThan(20)
    expect(new Set(routes.map(({ access }) => access))).toEqual(
      new Set<Access>(["open", "key", "operators", ...SCOPES])
    )
    for (const { name, path, access } of routes) {
      if (path.startsWith("/api/admin")) expect({ name, access }).toEqual({ name, access: "admin" })
      if (path.startsWith("/api/tenants")) expect({ name, access }).not.toEqual({ name, access: "open" })
    }
  })

  it("that is open needs no key, and takes any", async () => {
    for (const route of asking(({ access }) => access === "open")) {
      for (const header of Object.values(deadKeys)) {
        expect(await ask(route, header)).toMatchObject({ name: route.name, status: 200 })
      }
    }
  })

  it("that is not open answers 401 and what to send, to everyone without a key that is live", async () => {
    for (const route of asking(({ access }) => access !== "open")) {
      for (const [what, header] of Object.entries(deadKeys)) {
        const { status, problem, challenge, text } = await ask(route, header)
        const expected = { status: 401, problem: "unauthenticated", challenge: "Bearer" }
        expect({ route: route.name, what, status, problem, challenge }).toEqual({
          route: route.name,
          what,
          ...expected
        })
        if (header?.includes("esa_")) expect(text).not.toContain(header.slice(-43))
      }
    }
  })

  it("answers 403 and the scope, to a key without it", async () => {
    for (const route of asking(({ access }) => access !== "open" && access !== "key")) {
      const { name, access } = route
      const others =
        access === "operators"
          ? [forAll.submit]
          : SCOPES.filter((scope) => scope !== access).map((scope) => forAll[scope])
      const ofTenants = access === "read" ? [ofTenant.submit] : [ofTenant.read]
      for (const header of [...others, ...(access === "submit" || access === "read" ? ofTenants : [live])]) {
        const { status, problem, scope } = await ask(route, header)
        const expected = { status: 403, problem: "missing-scope", scope: access === "operators" ? "admin" : access }
        expect({ name, status, problem, scope }).toEqual({ name, ...expected })
      }
    }
  })

  it("of another tenant is one that does not exist, whether that tenant does or not", async () => {
    const ofTenants = asking(({ path }) => path.includes(":tenantId"))
    expect(ofTenants.length).toBeGreaterThan(8)
    for (const route of ofTenants) {
      const known = await ask(route, ofOther, "acme")
      expect(known).toMatchObject({ name: route.name, status: 404, problem: "service-call-not-found" })
      for (const tenant of ["nobody", "Globex", "globex_", "%67lobe%78x", "a%20b"]) {
        expect((await ask(route, ofOther, tenant)).comparable).toBe(known.comparable)
      }
      // Also for a key that could not do it at home.
      const other = route.access === "read" ? ofTenant.submit : ofTenant.read
      expect((await ask(route, other, "globex")).comparable).toBe(known.comparable)
      if (route.path.includes(":serviceCallId")) {
        const own = await ask(route, ofOther, "globex")
        expect({ name: route.name, answer: own.comparable }).toEqual({ name: route.name, answer: known.comparable })
      }
    }
  })

  it("is served to the right key", async () => {
    for (const route of routes) {
      const { access, path } = route
      if (access === "open") continue
      const right =
        access === "key"
          ? [...Object.values(forAll), ...Object.values(ofTenant)]
          : access === "operators"
            ? [forAll.read, forAll.admin]
            : access === "admin"
              ? [forAll.admin]
              : [forAll[access], ofTenant[access], ofNobody]
      for (const header of path.endsWith("/cancel") ? right.slice(1, 2) : right) {
        for (const sent of [header, header.replace("Bearer ", "bearer   ")]) {
          const { status, text } = await ask(route, sent)
          if (EMPTY.test(text)) continue
          expect({ name: route.name, status, text }).toMatchObject({ name: route.name, text: "" })
          expect(status).toBeLessThan(300)
        }
      }
    }
  })

  it("that no list names is reached by nobody", async () => {
    for (const path of ["/forgotten", "/nowhere", "/api/admin/nothing"]) {
      const route: Route = { name: path, method: "GET", path, access: "open" }
      expect(await ask(route, undefined)).toMatchObject({ status: 401 })
      expect(await ask(route, forAll.admin)).toMatchObject({ status: 404, problem: "route-not-found" })
    }
    const wrongMethod: Route = { name: "docs", method: "PUT", path: "/docs", access: "open" }
    expect(await ask(wrongMethod, undefined)).toMatchObject({ status: 401 })
    expect(await ask(wrongMethod, live)).toMatchObject({ status: 405 })
  })

  it("is found by other spellings of its address only as the router finds it", async () => {
    for (const path of [
      "//api//admin/keys",
      "/api/admin/keys/",
      "/api/admin/%6beys",
      "/api/admin/keys;x",
      "/api/admin/keys?tenant=acme",
      "/api/ADMIN/keys"
    ]) {
      const route: Route = { name: path, method: "GET", path, access: "admin" }
      expect({ path, status: (await ask(route, undefined)).status }).toEqual({ path, status: 401 })
      expect([403, 404]).toContain((await ask(route, live)).status)
    }
    const head: Route = { name: "head", method: "HEAD", path: "/api/admin/keys", access: "admin" }
    expect((await ask(head, undefined)).status).toBe(401)
    expect((await ask(head, live)).status).toBe(403)
    expect((await ask(head, forAll.admin)).status).toBe(200)
  })
})
