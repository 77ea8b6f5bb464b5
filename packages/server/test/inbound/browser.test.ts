import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { callsOf, json, submit } from "../client.ts"
import { removeLeftovers, Service } from "../process.ts"
import { askWith, contentOf, routesOf } from "./asking.ts"
import { plantDeadLetters } from "./dead-letters.ts"
import type { WireAnswer } from "./wire.ts"

type Headers = ReadonlyArray<readonly [name: string, value: string]>

const CALL = {
  name: "a call",
  dueAt: "2999-01-01T00:00:00Z",
  requestSpec: { method: "POST", url: "https://example.com/" }
} as const
const EVIL = "http://evil.example"
/** Whatever a route reads, so that nothing but the sender is wrong. */
const BODIES: Readonly<Record<string, string>> = {
  "serviceCalls.submit": JSON.stringify(CALL),
  "serviceCalls.cancel": "{}",
  "serviceCalls.setTags": '{"tags":["changed"]}',
  "serviceCalls.resend": "{}",
  "admin.republish": '{"since":"2026-01-01T00:00:00Z"}',
  "access.createKey": '{"tenantId":"*","scopes":["admin"]}'
}
const JSON_TYPE = ["content-type", "application/json"] as const

/** What may tell of a request that a page of another site has caused it. The service listens on `port`. */
const SENDERS = (port: string): Readonly<Record<string, Headers>> => ({
  "another site": [["origin", EVIL]],
  "a page that has no site": [["origin", "null"]],
  "another port": [["origin", "http://localhost:1"]],
  "another scheme": [["origin", "ftp://localhost"]],
  "no port": [
    ["host", `localhost:${port}`],
    ["origin", "http://localhost"]
  ],
  "a site that begins like this one": [["origin", "http://localhost.evil.example"]],
  "this one as user": [["origin", "http://localhost@evil.example"]],
  "an Origin that is none": [["origin", ""]],
  "two Origins, this one first": [
    ["origin", "http://localhost"],
    ["origin", EVIL]
  ],
  "two Origins, this one last": [
    ["origin", EVIL],
    ["origin", "http://localhost"]
  ],
  "another site, by fetch metadata alone": [["sec-fetch-site", "cross-site"]],
  "another port, by fetch metadata alone": [["sec-fetch-site", "same-site"]],
  "fetch metadata that contradicts": [
    ["origin", "http://localhost"],
    ["sec-fetch-site", "cross-site"]
  ],
  "fetch metadata of two kinds": [
    ["sec-fetch-site", "same-origin"],
    ["sec-fetch-site", "cross-site"]
  ],
  "another site, by Referer alone": [["referer", `${EVIL}/page`]],
  "another port, by Referer alone": [["referer", "http://localhost:1/page"]],
  "a Referer that is none": [["referer", "localhost"]],
  "another site through a proxy that says otherwise": [
    ["origin", EVIL],
    ["x-forwarded-host", "evil.example"],
    ["forwarded", "host=evil.example"],
    ["x-forwarded-proto", "http"]
  ]
})

afterAll(removeLeftovers)

describe("a page of another site in a browser beside the service", () => {
  let service: Service
  let routes: Awaited<ReturnType<typeof routesOf>>
  beforeAll(async () => {
    service = await Service.start()
    const { serviceCallId } = await submit(service, "acme", CALL)
    const made = await service.fetch("/api/admin/keys", json({ tenantId: "acme", scopes: ["read"] }))
    const { keyId }: { readonly keyId: string } = await made.json()
    const [letter] = await plantDeadLetters(service, 1)
    routes = await routesOf(service, {
      tenantId: "acme",
      serviceCallId,
      consumer: letter?.consumer ?? "",
      seq: String(letter?.seq),
      keyId
    })
  })
  afterAll(() => service[Symbol.asyncDispose]())

  const writing = () => routes.filter(({ method }) => method !== "GET")

  it("cannot write, whatever tells where the request comes from", async () => {
    const before = contentOf(service)
    for (const [sender, headers] of Object.entries(SENDERS(new URL(service.url).port))) {
      for (const { id, method, target } of writing()) {
        const body = BODIES[id]
        const answer = await askWith(service, {
          method,
          target,
          headers: [...headers, ...(body === undefined ? [] : [JSON_TYPE])],
          ...(body === undefined ? {} : { body })
        })
        expect({ sender, id, status: answer.status, type: typeOf(answer) }).toEqual({
          sender,
          id,
          status: 403,
          type: "urn:event-service-agent:problem:foreign-origin"
        })
      }
    }
    expect(contentOf(service)).toBe(before)
  })

  it("cannot submit with a form, even when the browser says nothing of the sender", async () => {
    const before = contentOf(service)
    for (const type of ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""]) {
      for (const { id, method, target } of writing()) {
        const body = BODIES[id]
        if (body === undefined) continue
        const answer = await askWith(service, { method, target, headers: [["content-type", type]], body })
        expect({ type, id, status: answer.status }).toEqual({ type, id, status: 415 })
      }
    }
    expect(contentOf(service)).toBe(before)
  })

  it("gets no leave from a preflight, and so can neither send JSON nor use PUT and DELETE", async () => {
    for (const { method, target } of routes) {
      const answer = await askWith(service, {
        method: "OPTIONS",
        target,
        headers: [
          ["origin", EVIL],
          ["access-control-request-method", method],
          ["access-control-request-headers", "content-type"],
          ["access-control-request-private-network", "true"]
        ]
      })
      expect(answer.status).toBe(405)
      expect([...answer.headers.keys()].filter((name) => name.startsWith("access-control-"))).toEqual([])
    }
  })

  it("cannot read, run or frame an answer, and changes nothing by asking", async () => {
    const before = contentOf(service)
    const reading = routes.filter(({ method }) => method === "GET").map(({ target }) => target)
    for (const target of [
      ...reading,
      "/",
      "/page.json",
      "/docs",
      "/openapi.json",
      "/asyncapi.json",
      "/metrics",
      "/nothing"
    ]) {
      for (const method of ["GET", "HEAD"]) {
        const headers = [
          ["origin", EVIL],
          ["sec-fetch-site", "cross-site"],
          ["sec-fetch-mode", "no-cors"]
        ] as const
        const answer = await askWith(service, { method, target, headers })
        expect([...answer.headers.keys()].filter((name) => name.startsWith("access-control-"))).toEqual([])
        expect(Object.fromEntries(answer.headers)).toMatchObject({
          "cross-origin-resource-policy": "same-origin",
          "x-content-type-options": "nosniff",
          "x-frame-options": "DENY"
        })
      }
    }
    expect(contentOf(service)).toBe(before)
  })

  it("gets nowhere with a name of its own that leads here, whoever else is named", async () => {
    const before = contentOf(service)
    const { port } = new URL(service.url)
    const host = `evil.example:${port}`
    for (const { id, method, target } of routes) {
      const body = BODIES[id]
      const answer = await askWith(service, {
        method,
        target,
        headers: [
          ["host", host],
          ["origin", `http://${host}`],
          ["sec-fetch-site", "same-origin"],
          ["x-forwarded-host", `localhost:${port}`],
          ["forwarded", `host=localhost:${port}`],
          ["x-host", "localhost"],
          ...(body === undefined ? [] : [JSON_TYPE])
        ],
        ...(body === undefined ? {} : { body })
      })
      expect({ id, status: answer.status }).toEqual({ id, status: 421 })
    }
    expect(contentOf(service)).toBe(before)
  })

  it("can be this service's own, through any of its names, and then writes", async () => {
    const { port } = new URL(service.url)
    for (const name of ["localhost", "127.0.0.1", "[::1]", "LOCALHOST"]) {
      for (const host of [name, `${name}:${port}`]) {
        const answer = await askWith(service, {
          method: "POST",
          target: callsOf("acme"),
          headers: [
            ["host", host],
            ["origin", `http://${host}`],
            ["sec-fetch-site", "same-origin"],
            ["referer", `http://${host}/docs`],
            ["x-forwarded-host", "evil.example"],
            JSON_TYPE
          ],
          body: JSON.stringify(CALL)
        })
        expect({ host, status: answer.status }).toEqual({ host, status: 202 })
        expect(answer.headers.get("location")).toMatch(/^\/api\//)
      }
    }
  })
})

/** None of these is a name of the service, though some programs would take them for one. */
const HOSTS = [
  "",
  ".",
  "localhost.",
  "LOCALHOST.",
  "127.0.0.1.",
  "127.0.0.2",
  "127.1",
  "2130706433",
  "0x7f000001",
  "0x7f.0.0.1",
  "0177.0.0.1",
  "0.0.0.0",
  "[::]",
  "[::ffff:127.0.0.1]",
  "[0:0:0:0:0:0:0:1]",
  "[::1",
  "::1",
  "[::1]x",
  "[::1%25lo]",
  "localhost:",
  "localhost:x",
  "localhost:80:80",
  "localhost:-1",
  "localhost:123456",
  "localhost:80@evil.example",
  "user@localhost",
  "user:pw@localhost",
  "localhost/",
  "localhost/evil.example",
  "localhost?x",
  "localhost#x",
  "localhost,evil.example",
  "localhost evil.example",
  "evil.example,localhost",
  "sub.localhost",
  "localhost.evil.example",
  "127.0.0.1.nip.io",
  "%6cocalhost",
  "localhost%00",
  "ｌocalhost",
  "locaLhoſt",
  "evil.example"
]

describe("a Host header that names no name of this server", () => {
  it("is refused on every kind of route, whatever it looks like", async () => {
    await using service = await Service.start()
    for (const host of HOSTS) {
      for (const [method, target] of [
        ["GET", "/health/live"],
        ["GET", `${callsOf("acme")}?limit=1`],
        ["POST", callsOf("acme")],
        ["GET", "/nothing"]
      ] as const) {
        const answer = await askWith(service, { method, target, headers: [["host", host]] })
        expect({ host, target, status: answer.status, type: typeOf(answer) }).toEqual({
          host,
          target,
          status: 421,
          type: "urn:event-service-agent:problem:unexpected-host"
        })
      }
    }
    for (const hosts of [
      ["localhost", "evil.example"],
      ["evil.example", "localhost"],
      ["localhost", "localhost"]
    ]) {
      const headers = hosts.map((host) => ["host", host] as const)
      expect((await askWith(service, { method: "GET", target: "/health/live", headers })).status).toBe(421)
    }
  })

  it("may be allowed by the operator, and is then exactly that name", async () => {
    await using service = await Service.start({ ALLOWED_HOSTS: "Agent.example" })
    const statusFor = async (host: string) =>
      (await askWith(service, { method: "GET", target: "/health/live", headers: [["host", host]] })).status
    for (const host of ["agent.example", "AGENT.EXAMPLE:443", "localhost"]) expect(await statusFor(host)).toBe(200)
    for (const host of [
      "agent.example.",
      "agent.example.evil.example",
      "xagent.example",
      "agent-example",
      "agentxexample"
    ]) {
      expect({ host, status: await statusFor(host) }).toEqual({ host, status: 421 })
    }
  })
})

const typeOf = ({ body }: WireAnswer): string => {
  const { type = "none" }: { readonly type?: string } = JSON.parse(body)
  return type
}
