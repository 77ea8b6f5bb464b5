import { connect } from "node:net"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { CALLS, CANARY, good, ROWS, UNKNOWN_ID } from "./bad-input-rows.ts"
import { callsOf, json, submit } from "./client.ts"
import { type CountingTarget, countingTarget } from "./counting-target.ts"
import { removeLeftovers, Service } from "./process.ts"
import { rowCounts } from "./stored.ts"
import { until } from "./until.ts"

interface Problem {
  readonly type: string
  readonly status: number
  readonly correlationId: string
  readonly errors?: ReadonlyArray<{ readonly in: string; readonly pointer: string; readonly detail: string }>
}

afterAll(removeLeftovers)

describe("bad input", () => {
  let target: CountingTarget
  let service: Service
  beforeAll(async () => {
    target = countingTarget()
    service = await Service.start({ EGRESS_ALLOW: target.host })
  })
  afterAll(async () => {
    await service[Symbol.asyncDispose]()
    await target[Symbol.asyncDispose]()
  })

  for (const [what, path, init, status, fields] of ROWS) {
    it(`is refused: ${what}`, async () => {
      await expectProblem(await service.fetch(path, init), status, fields)
    })
  }

  it("has the methods that an address knows in Allow", async () => {
    const allowed = async (path: string, method: string) =>
      (await service.fetch(path, { method })).headers.get("allow")?.split(", ").sort()
    expect(await allowed(CALLS, "PUT")).toEqual(["GET", "HEAD", "POST"])
    expect(await allowed(`${CALLS}/${UNKNOWN_ID}`, "DELETE")).toEqual(["GET", "HEAD"])
    expect(await allowed(`${CALLS}/${UNKNOWN_ID}/cancel`, "GET")).toEqual(["POST"])
    expect(await allowed(`${CALLS}/${UNKNOWN_ID}/tags`, "POST")).toEqual(["PUT"])
    expect(await allowed(`${CALLS}/${UNKNOWN_ID}/resend`, "PUT")).toEqual(["POST"])
    for (const route of ["stats", "events", "export"]) {
      expect(await allowed(`${CALLS}/${route}`, "POST")).toEqual(["GET", "HEAD"])
    }
    for (const path of ["/openapi.json", "/asyncapi.json", "/metrics"]) {
      expect(await allowed(path, "POST")).toEqual(["GET", "HEAD"])
    }
  })

  it("on the wire is refused, too: hosts that are not this one, and requests that are none", async () => {
    const { port } = new URL(service.url)
    const hosts = [
      "example.com",
      `127.0.0.1.example.com:${port}`,
      "127.0.0.1, example.com",
      "localhost@example.com",
      ""
    ]
    for (const host of hosts) {
      const answer = await wire(service, `GET ${CALLS} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)
      expect({ host, status: statusOf(answer) }).toEqual({ host, status: 421 })
      expect(answer.toLowerCase()).toContain("content-type: application/problem+json")
    }
    const twice = `GET ${CALLS} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nHost: example.com\r\nConnection: close\r\n\r\n`
    expect([400, 421]).toContain(statusOf(await wire(service, twice)))
    for (const host of [`localhost:${port}`, `127.0.0.1:${port}`, "LOCALHOST", "[::1]:80"]) {
      const answer = await wire(service, `GET ${CALLS} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)
      expect({ host, status: statusOf(answer) }).toEqual({ host, status: 200 })
    }
  })

  it("stores nothing and leaves the service healthy", async () => {
    const counts = rowCounts(service.dbPath)
    expect(counts).toEqual(Object.fromEntries(Object.keys(counts).map((table) => [table, 0])))
    expect(target.count).toBe(0)
    const levels = service.logs.map(({ level }) => level)
    expect(levels.filter((level) => level !== "INFO" && level !== "DEBUG")).toEqual([])
    for (const path of ["/health/live", "/health/ready"]) expect((await service.fetch(path)).status).toBe(200)
    const sameSite = { origin: service.url }
    const response = await service.fetch(
      CALLS,
      json({ ...good, requestSpec: { method: "POST", url: target.url } }, sameSite)
    )
    expect(response.status).toBe(202)
    await until("the target has it", () => target.count === 1)
  })
})

describe("the id of another tenant's call", () => {
  it("is answered as an unknown one, byte for byte", async () => {
    await using service = await Service.start()
    const { serviceCallId } = await submit(service, "globex", { ...good, dueAt: "2999-01-01T00:00:00Z" })
    const requests: ReadonlyArray<readonly [string, RequestInit]> = [
      ["", {}],
      ["/cancel", { method: "POST" }],
      ["/cancel", json({ reason: "mine" })],
      ["/tags", { ...json({ tags: ["mine"] }), method: "PUT" }],
      ["/resend", { method: "POST" }],
      ["/resend", json({ dueAt: "2999-01-01T00:00:00Z" })]
    ]
    for (const [path, init] of requests) {
      const [foreign, unknown] = [
        await answerTo(service, `${CALLS}/${serviceCallId}${path}`, init),
        await answerTo(service, `${CALLS}/${UNKNOWN_ID}${path}`, init)
      ]
      expect(foreign).toEqual(unknown)
      expect(foreign.status).toBe(404)
    }
    const own = await service.fetch(`${callsOf("globex")}/${serviceCallId}`)
    expect(await own.json()).toMatchObject({ status: "Scheduled", tags: [] })
    expect(await (await service.fetch(CALLS)).json()).toEqual({ items: [], next: null })
  })
})

const expectProblem = async (response: Response, status: number, fields: ReadonlyArray<string> | undefined) => {
  const text = await response.text()
  expect({ status: response.status, text }).toMatchObject({ status })
  expect(response.headers.get("content-type")).toBe("application/problem+json")
  expect(text).not.toContain(CANARY)
  const problem: Problem = JSON.parse(text)
  expect(problem.status).toBe(status)
  expect(problem.type).toMatch(/^urn:event-service-agent:problem:/)
  expect(problem.correlationId).toBe(response.headers.get("x-correlation-id") ?? "none")
  expect(problem.errors?.map((error) => `${error.in} ${error.pointer}`).sort()).toEqual(fields && [...fields].sort())
  for (const { detail } of problem.errors ?? []) expect(detail.length).toBeGreaterThan(10)
}

/** All of an answer but what differs from one to the next. */
const answerTo = async (service: Service, path: string, init: RequestInit) => {
  const response = await service.fetch(path, init)
  const correlationId = response.headers.get("x-correlation-id") ?? "none"
  const headers = Object.fromEntries(response.headers)
  delete headers["date"]
  delete headers["x-correlation-id"]
  return { status: response.status, headers, text: (await response.text()).replaceAll(correlationId, "") }
}

/** What comes back for these bytes. */
const wire = async (service: Service, bytes: string): Promise<string> => {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const { hostname, port } = new URL(service.url)
  let answer = ""
  const socket = connect(Number(port), hostname, () => socket.write(bytes))
  socket.on("data", (data) => {
    answer += data.toString("latin1")
  })
  socket.on("close", () => resolve(answer)).on("error", reject)
  return promise
}

const statusOf = (answer: string): number => Number(/^HTTP\/1\.1 (\d{3}) /.exec(answer)?.[1])
