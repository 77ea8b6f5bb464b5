import { afterAll, describe, expect, it } from "vitest"
import { callsOf, countOf, json, sideBySide, submit } from "./client.ts"
import { type Collector, collector } from "./collector.ts"
import { type CountingTarget, countingTarget } from "./counting-target.ts"
import { removeLeftovers, runToEnd, Service, temporaryFolder } from "./process.ts"
import { CANARIES, CANARY, echo, refusedWithSecrets, requestsWithSecrets } from "./secrets/canaries.ts"
import { findInBytes } from "./secrets/files.ts"
import { until } from "./until.ts"

const TENANT = "acme"
const PATH_WORD = "sidedoor"
const CLIENTS = 16
const WAIT_MS = 60_000
/** At least one more export than may be on its way, at six spans for each. */
const CALLS = 800
/** An export may take 10 s, but must not hold up the stop for so long. */
const STOP_MS_MAX = 9_000

afterAll(removeLeftovers)

const closedEndpoint = async (): Promise<Collector["env"]> => {
  await using closed = collector()
  return closed.env
}

const performAll = async (service: Service, target: CountingTarget, calls: number) => {
  await sideBySide(Array(calls).keys(), CLIENTS, async (number) => {
    await submit(service, TENANT, { name: `call ${number}`, requestSpec: { method: "GET", url: target.url } })
  })
  await until("all calls have ended", async () => (await countOf(service, TENANT, "Succeeded")) === calls, WAIT_MS)
}

const exportsOf = async (service: Service, result: string): Promise<number> => {
  const text = await (await service.fetch("/metrics")).text()
  return Number(new RegExp(`^esa_trace_exports_total\\{result="${result}"\\} (\\d+)`, "m").exec(text)?.[1])
}

const warnings = (service: Service) =>
  service.logs.filter(({ level, message }) => level === "WARN" && message.includes("not exported"))

const stop = async (service: Service) => {
  const startedAt = performance.now()
  expect(await service.kill("SIGTERM")).toMatchObject({ exitCode: 0 })
  expect(performance.now() - startedAt).toBeLessThan(STOP_MS_MAX)
}

describe("the export of spans", () => {
  it("drops what a collector that hangs does not take: calls go on, memory is bounded, and the stop is prompt", async () => {
    await using otel = collector(() => new Promise<Response>(() => {}))
    await using target = countingTarget()
    await using service = await Service.start({ ...otel.env, EGRESS_ALLOW: target.host })
    await performAll(service, target, CALLS)
    expect(await until("spans are dropped", () => exportsOf(service, "dropped"), WAIT_MS)).toBeGreaterThan(0)
    expect(await exportsOf(service, "sent")).toBe(0)
    // Two of the first seconds; more only after those have timed out.
    expect(otel.exports.length).toBeLessThanOrEqual(2 * (1 + (await exportsOf(service, "failed"))))
    expect(warnings(service).length).toBe(1)
    await stop(service)
  })

  it("goes on without a collector, and says so once", async () => {
    await using target = countingTarget()
    await using service = await Service.start({ ...(await closedEndpoint()), EGRESS_ALLOW: target.host })
    await performAll(service, target, 50)
    // A result that has not been yet is told as zero: its first time is to be seen as growth.
    expect([await exportsOf(service, "sent"), await exportsOf(service, "dropped")]).toEqual([0, 0])
    await until("an export has failed", async () => (await exportsOf(service, "failed")) > 0, WAIT_MS)
    expect(warnings(service).map(({ message }) => message)).toEqual([
      "spans are not exported but dropped, calls go on: the collector cannot be reached"
    ])
    await stop(service)
  })

  it("has no secret of a request in it, and its own credentials in no log", async () => {
    await using otel = collector()
    await using target = countingTarget((arrival) => {
      if (arrival.path.includes("&silent")) return new Promise<Response>(() => {})
      return arrival.path.includes("echo") ? echo(arrival) : new Response("thank you")
    })
    const closed = countingTarget()
    await closed[Symbol.asyncDispose]()
    await using service = await Service.start({
      ...otel.env,
      EGRESS_ALLOW: `${target.host},${closed.host}`,
      LOG_LEVEL: "trace",
      OTEL_EXPORTER_OTLP_HEADERS: `api-key=${CANARY}%2Ccollector`
    })
    const submissions = [0, 1, 2].flatMap((round) => requestsWithSecrets(target.url, closed.url, round))
    await sideBySide(submissions, CLIENTS, async (submission) => {
      expect((await service.fetch(callsOf(TENANT), json(submission))).status).toBe(202)
    })
    for (const refused of refusedWithSecrets(0)) await service.fetch(`${callsOf(TENANT)}?q=${CANARY}`, refused)
    for (const path of [`/api/tenants/${TENANT}.${PATH_WORD}/service-calls`, `/api/${PATH_WORD}`, "/api/keys?a=%zz"]) {
      await service.fetch(`${path}?token=${CANARY}`)
    }
    await until(
      "all calls have ended",
      async () => (await countOf(service, TENANT, "Succeeded", "Failed")) >= submissions.length - 3,
      WAIT_MS
    )
    const { stdout } = await service.kill("SIGTERM")
    const texts = [...otel.exports.map(({ text }) => text), stdout]
    expect(texts.flatMap((text) => findInBytes(Buffer.from(text), CANARIES))).toEqual([])
    // The debug line of a request has its path, a span only the route.
    expect(stdout).toContain(PATH_WORD)
    expect(otel.exports.filter(({ text }) => text.includes(PATH_WORD))).toEqual([])
    expect(otel.spans.filter(({ name }) => name === "send").length).toBeGreaterThanOrEqual(submissions.length - 3)
    expect(new Set(otel.spans.filter(({ name }) => name === "send").map(({ status }) => status.message))).toEqual(
      new Set([undefined, "HttpStatus", "Timeout", "ConnectionFailed"])
    )
    expect(otel.exports.every(({ path }) => path === "/v1/traces")).toBe(true)
    expect(otel.exports.every(({ headers }) => headers.get("api-key") === `${CANARY},collector`)).toBe(true)
  })

  it("speaks protobuf unless it is told otherwise, and tells which settings are wrong", async () => {
    await using otel = collector()
    const endpoint = `${otel.env["OTEL_EXPORTER_OTLP_ENDPOINT"]}/base/`
    const env = { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_RESOURCE_ATTRIBUTES: "team=calls%2C%20ops" }
    await using service = await Service.start(env)
    await service.fetch(callsOf(TENANT))
    const first = await until("an export has come", () => otel.exports[0], WAIT_MS)
    expect(first.path).toBe("/base/v1/traces")
    expect([await exportsOf(service, "failed"), await exportsOf(service, "dropped")]).toEqual([0, 0])
    expect(first.headers.get("content-type")).toBe("application/x-protobuf")
    expect(first.text).toContain("GET /api/tenants/:tenantId/service-calls")
    expect(first.text).toContain("event-service-agent")
    expect(first.text).toContain("calls, ops")

    using folder = temporaryFolder()
    const wrong = {
      OTEL_EXPORTER_OTLP_ENDPOINT: "collector:4318",
      OTEL_EXPORTER_OTLP_PROTOCOL: "grpc",
      OTEL_EXPORTER_OTLP_HEADERS: `${CANARY} without a sign`,
      OTEL_TRACES_SAMPLER_ARG: "1.5",
      OTEL_RESOURCE_ATTRIBUTES: "team=a%zz"
    }
    const { exitCode, stderr } = await runToEnd(folder.path, wrong)
    expect(exitCode).toBe(78)
    for (const name of Object.keys(wrong)) expect(stderr).toContain(`${name} is wrong: expected`)
    expect(stderr).not.toContain(CANARY)
    const { OTEL_EXPORTER_OTLP_ENDPOINT: _, ...ofOthers } = wrong
    await using _unconcerned = await Service.start(ofOthers)
  })
})
