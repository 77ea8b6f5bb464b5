import { randomBytes } from "node:crypto"
import { afterAll, describe, expect, it } from "vitest"
import { callsOf, detailOf, json, type Reference, type Submission, TERMINAL } from "./client.ts"
import { type Collector, collector, type ExportedSpan, lineage, missingParents } from "./collector.ts"
import { type Arrival, countingTarget } from "./counting-target.ts"
import { itNeeds } from "./faults/needs.ts"
import { startExecutor } from "./nats/executor.ts"
import { missingNats, NatsServer } from "./nats/nats-server.ts"
import { removeLeftovers, Service } from "./process.ts"
import { stored } from "./stored.ts"
import { until } from "./until.ts"

const TENANT = "acme"
const WAIT_MS = 30_000
const ROUTE = "POST /api/tenants/:tenantId/service-calls"
const OVER_TIMER = [
  "execution StartExecution < orchestration DueTimeReached",
  "orchestration DueTimeReached < timer fire",
  "orchestration ExecutionStarted < execution StartExecution",
  "orchestration ExecutionSucceeded < send",
  `orchestration SubmitServiceCall < ${ROUTE}`,
  "send < execution StartExecution",
  "timer ScheduleTimer < orchestration SubmitServiceCall",
  "timer fire < timer ScheduleTimer"
]

afterAll(removeLeftovers)

/** What a client that traces sends. */
const clientSpan = (flags = "01") => {
  const traceId = randomBytes(16).toString("hex")
  const spanId = randomBytes(8).toString("hex")
  return { traceId, spanId, traceparent: `00-${traceId}-${spanId}-${flags}` }
}

const soon = () => new Date(Date.now() + 4_000).toISOString()

const submitTraced = async (service: Service, submission: Submission, traceparent?: string) => {
  const response = await service.fetch(
    callsOf(TENANT),
    json(submission, traceparent === undefined ? {} : { traceparent })
  )
  expect(response.status).toBe(202)
  const { serviceCallId }: Reference = await response.json()
  return { serviceCallId, correlationId: response.headers.get("x-correlation-id") ?? "" }
}

const untilEnded = (service: Service, serviceCallId: string) =>
  until(
    "the call has ended",
    async () => {
      const detail = await detailOf(service, TENANT, serviceCallId)
      return TERMINAL.has(detail.status) && detail
    },
    WAIT_MS
  )

const untilExported = (otel: Collector, traceId: string, name: string) =>
  until(
    `the span ${name} is exported`,
    () => {
      const spans = otel.spans.filter((span) => span.traceId === traceId)
      return spans.some((span) => span.name === name) && spans
    },
    WAIT_MS
  )

const named = (spans: ReadonlyArray<ExportedSpan>, name: string): ExportedSpan => {
  const [span, ...others] = spans.filter((one) => one.name === name)
  if (span === undefined || others.length > 0) throw new Error(`${others.length + 1} spans are named ${name}`)
  return span
}

const onlyArrival = (arrivals: ReadonlyArray<Arrival> = []): Arrival => {
  const [arrival] = arrivals
  if (arrival === undefined || arrivals.length > 1) throw new Error(`${arrivals.length} requests came`)
  return arrival
}

describe("with an exporter", () => {
  it("one trace goes from the client's request over the wait and the send to the outcome", async () => {
    await using otel = collector()
    await using target = countingTarget()
    await using service = await Service.start({ ...otel.env, EGRESS_ALLOW: target.host })
    for (const path of ["/health/live", "/health/ready", "/metrics", "/openapi.json", "/"]) await service.fetch(path)
    const client = clientSpan()
    const call = {
      name: "later",
      dueAt: soon(),
      requestSpec: { method: "GET", url: `${target.url}/hook?n=1`, headers: { TraceParent: "auto" } }
    } as const
    const { serviceCallId, correlationId } = await submitTraced(service, call, client.traceparent)
    await untilEnded(service, serviceCallId)
    const spans = await untilExported(otel, client.traceId, "orchestration ExecutionSucceeded")

    expect(lineage(spans)).toEqual([`${ROUTE} < ${client.spanId}`, ...OVER_TIMER].sort())
    expect(missingParents(otel.spans)).toEqual([client.spanId])
    const scheduled = named(spans, "timer ScheduleTimer")
    const fired = named(spans, "timer fire")
    expect(fired.links).toMatchObject([{ traceId: client.traceId, spanId: scheduled.spanId }])
    expect(BigInt(fired.startTimeUnixNano) - BigInt(scheduled.endTimeUnixNano)).toBeGreaterThan(100_000_000n)

    const request = named(spans, ROUTE)
    expect(new Set(otel.spans.filter(({ kind }) => kind === 2).map(({ name }) => name))).toEqual(
      new Set([ROUTE, "GET /api/tenants/:tenantId/service-calls/:serviceCallId"])
    )
    expect(request.attributes).toEqual({
      "http.request.method": "POST",
      "http.route": "/api/tenants/:tenantId/service-calls",
      "http.response.status_code": expect.anything(),
      "esa.tenant_id": TENANT
    })
    const send = named(spans, "send")
    expect(send.kind).toBe(3)
    expect(send.attributes).toMatchObject({
      "http.request.method": "GET",
      "server.address": "127.0.0.1",
      "esa.service_call_id": serviceCallId,
      "esa.correlation_id": correlationId
    })
    expect(Object.values(send.attributes).map(String)).toEqual(expect.arrayContaining(["1", "200"]))
    const { headers } = onlyArrival(target.byKey.get(serviceCallId))
    expect(headers.get("traceparent")).toBe(`00-${client.traceId}-${send.spanId}-01`)

    const lines = service.logs.filter(({ annotations }) => annotations["serviceCallId"] === serviceCallId)
    expect(lines.map(({ message, annotations: { traceId, spanId } }) => [message, traceId, spanId])).toEqual([
      ["service call Submitted", client.traceId, named(spans, "orchestration SubmitServiceCall").spanId],
      ["service call Scheduled", client.traceId, named(spans, "orchestration SubmitServiceCall").spanId],
      ["service call Running", client.traceId, named(spans, "orchestration DueTimeReached").spanId],
      ["service call Succeeded", client.traceId, named(spans, "orchestration ExecutionSucceeded").spanId]
    ])
  })

  itNeeds(missingNats, "the same trace goes over NATS, and through an executor elsewhere", async () => {
    await using otel = collector()
    await using target = countingTarget()
    await using nats = await NatsServer.start()
    const env = { ...otel.env, EGRESS_ALLOW: target.host, NATS_URL: nats.url }
    await using service = await Service.start({ ...env, EXECUTE_HERE: "off" })
    await using _executor = await startExecutor(service.folder, { ...env, OTEL_SERVICE_NAME: "executor" })
    const client = clientSpan()
    const call = { name: "far", dueAt: soon(), requestSpec: { method: "GET", url: target.url } } as const
    const { serviceCallId } = await submitTraced(service, call, client.traceparent)
    await untilEnded(service, serviceCallId)
    await untilExported(otel, client.traceId, "send")
    const spans = await untilExported(otel, client.traceId, "orchestration ExecutionSucceeded")
    // The executor gets the message itself; that the agent granted its attempt stands beside it.
    const expected = OVER_TIMER.map((line) => (line.startsWith("send") ? "send < orchestration DueTimeReached" : line))
    expect(lineage(spans)).toEqual([`${ROUTE} < ${client.spanId}`, ...expected].sort())
    expect(missingParents(otel.spans)).toEqual([client.spanId])
    expect(otel.exports.some(({ text }) => text.includes('"executor"') && text.includes('"send"'))).toBe(true)
  })

  it("a trace outlasts kills of the process, before the call is due and while it is sent", async () => {
    await using otel = collector()
    await using target = countingTarget(() => new Promise<Response>(() => {}))
    await using service = await Service.start({ ...otel.env, EGRESS_ALLOW: target.host })
    const client = clientSpan()
    const call = {
      name: "killed",
      dueAt: new Date(Date.now() + 8_000).toISOString(),
      requestSpec: { method: "POST", url: target.url }
    } as const
    const { serviceCallId } = await submitTraced(service, call, client.traceparent)
    await untilExported(otel, client.traceId, ROUTE)
    await service.kill("SIGKILL")
    await service.restart()
    await until("it is sent", () => target.count > 0, WAIT_MS)
    await untilExported(otel, client.traceId, "orchestration ExecutionStarted")
    await service.kill("SIGKILL")
    await service.restart()
    expect(await untilEnded(service, serviceCallId)).toMatchObject({ outcome: { error: { kind: "OutcomeUnknown" } } })
    const spans = await untilExported(otel, client.traceId, "orchestration ExecutionFailed")
    const expected = OVER_TIMER.filter((line) => !line.includes("send"))
    expect(lineage(spans)).toEqual(
      [`${ROUTE} < ${client.spanId}`, "orchestration ExecutionFailed < execution StartExecution", ...expected].sort()
    )
    expect(missingParents(otel.spans)).toEqual([client.spanId])
  })

  it("a call that waits for a place stays in its own trace", async () => {
    const free = Promise.withResolvers<void>()
    await using otel = collector()
    await using target = countingTarget(async ({ path }) => {
      if (path === "/first") await free.promise
      return new Response("ok")
    })
    await using service = await Service.start({ ...otel.env, EGRESS_ALLOW: target.host, IN_FLIGHT_MAX: "1" })
    const callTo = (path: string) =>
      ({ name: path, requestSpec: { method: "GET", url: `${target.url}${path}` } }) as const
    const [first, second] = [clientSpan(), clientSpan()]
    await submitTraced(service, callTo("/first"), first.traceparent)
    await until("the first is sent", () => target.count === 1, WAIT_MS)
    const { serviceCallId } = await submitTraced(service, callTo("/second"), second.traceparent)
    await untilExported(otel, second.traceId, "orchestration SubmitServiceCall")
    free.resolve()
    await untilEnded(service, serviceCallId)
    const spans = await untilExported(otel, second.traceId, "orchestration ExecutionSucceeded")
    expect(lineage(spans)).toEqual(
      [
        `${ROUTE} < ${second.spanId}`,
        `orchestration SubmitServiceCall < ${ROUTE}`,
        "orchestration release < orchestration SubmitServiceCall",
        "execution StartExecution < orchestration release",
        "orchestration ExecutionStarted < execution StartExecution",
        "send < execution StartExecution",
        "orchestration ExecutionSucceeded < send"
      ].sort()
    )
    const submitted = named(spans, "orchestration SubmitServiceCall")
    expect(named(spans, "orchestration release").links).toMatchObject([{ spanId: submitted.spanId }])
  })

  it("what is no traceparent begins a new trace, and what is not sampled is not exported", async () => {
    await using otel = collector()
    await using target = countingTarget()
    const env = { ...otel.env, EGRESS_ALLOW: target.host, OTEL_TRACES_SAMPLER_ARG: "0" }
    await using service = await Service.start(env)
    const call = { name: "now", requestSpec: { method: "GET", url: target.url } } as const
    const silent = clientSpan("00")
    const wanted = clientSpan()
    for (const traceparent of ["garbage", `${wanted.traceparent}-more`, silent.traceparent, wanted.traceparent]) {
      const { serviceCallId } = await submitTraced(service, call, traceparent)
      await untilEnded(service, serviceCallId)
    }
    await untilExported(otel, wanted.traceId, "orchestration ExecutionSucceeded")
    expect(await service.kill("SIGTERM")).toMatchObject({ exitCode: 0 })
    expect(new Set(otel.spans.map(({ traceId }) => traceId))).toEqual(new Set([wanted.traceId]))
    const flags = stored<{ readonly flags: string; readonly traces: number }>(
      service.dbPath,
      "SELECT substr(traceparent, -2) AS flags, count(DISTINCT substr(traceparent, 4, 32)) AS traces FROM outbox GROUP BY 1"
    )
    expect(flags).toEqual([
      { flags: "00", traces: 3 },
      { flags: "01", traces: 1 }
    ])
  })
})

describe("without an exporter", () => {
  it("nothing is stored or sent, but where the tenant asks for it", async () => {
    await using target = countingTarget()
    await using service = await Service.start({ EGRESS_ALLOW: target.host })
    const submitWith = async (headers?: Readonly<Record<string, string>>) => {
      const spec = { method: "GET", url: target.url, ...(headers === undefined ? {} : { headers }) } as const
      const call = { name: "plain", dueAt: soon(), requestSpec: spec }
      const { serviceCallId, correlationId } = await submitTraced(service, call, clientSpan().traceparent)
      await untilEnded(service, serviceCallId)
      const sent = onlyArrival(target.byKey.get(serviceCallId)).headers.get("traceparent")
      return { sent, trace: correlationId.replaceAll("-", "") }
    }
    expect((await submitWith()).sent).toBeNull()
    const auto = await submitWith({ traceparent: "auto" })
    expect(auto.sent).toMatch(new RegExp(`^00-${auto.trace}-[0-9a-f]{16}-01$`))
    expect((await submitWith({ traceparent: "whatever they like" })).sent).toBe("whatever they like")
    for (const table of ["outbox", "timer_schedules", "service_calls", "execution_attempts"]) {
      expect(stored(service.dbPath, `SELECT traceparent FROM ${table} WHERE traceparent IS NOT NULL`)).toEqual([])
    }
    expect(stored(service.dbPath, "SELECT seq FROM outbox")).not.toEqual([])
    expect(service.logs.filter(({ annotations }) => "traceId" in annotations)).toEqual([])
  })
})
