import { readFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, describe, expect, it } from "vitest"
import { callsOf, json, submit } from "./client.ts"
import { countingTarget } from "./counting-target.ts"
import { itNeeds } from "./faults/needs.ts"
import { missingNats, NatsServer } from "./nats/nats-server.ts"
import { removeLeftovers, Service } from "./process.ts"
import { until } from "./until.ts"

afterAll(removeLeftovers)

const docs = (name: string) => readFileSync(join(import.meta.dirname, "../../../docs", name), "utf8")
/** The metrics that the documents name, without what histograms add. */
const namesIn = (text: string) =>
  new Set([...text.matchAll(/\besa_[a-z0-9_]+/g)].map(([name]) => name.replace(/_(bucket|sum|count)$/, "")))
const documented = namesIn(docs("operations.md"))
/** The alerts on a quantile of a histogram, and the value above which each fires. */
const quantileAlerts = [
  ...docs("operations.md").matchAll(/histogram_quantile\([\d.]+, rate\((\w+)_bucket\[\w+\]\)\) > ([\d.]+)/g)
].map(([, name = "", above]) => ({ name, above: Number(above) }))
/** Only there while spans are exported: see trace-export.test.ts. */
const OF_EXPORTER = "esa_trace_exports_total"

/** The names and the types of what is exported, and each sample with its value. */
const scrape = async (service: Service) => {
  const response = await service.fetch("/metrics")
  expect(response.status).toBe(200)
  expect(response.headers.get("content-type")).toContain("text/plain")
  const text = await response.text()
  const types = new Map(
    [...text.matchAll(/^# TYPE (esa_\S+) (\S+)$/gm)].map(([, name = "", type = ""]) => [name, type])
  )
  const samples = new Map(
    [...text.matchAll(/^([^#\s]+(?:\{[^}]*\})?) (\S+)$/gm)].map(([, name = "", value]) => [name, Number(value)])
  )
  return { types, samples }
}

const runCalls = async (env: Readonly<Record<string, string>>) => {
  await using target = countingTarget(({ path }) => new Response("", { status: path === "/broken" ? 500 : 200 }))
  await using service = await Service.start({ EGRESS_ALLOW: target.host, ...env })
  const call = (path: string, more = {}) => ({
    name: "call",
    requestSpec: { method: "POST" as const, url: target.url + path },
    ...more
  })
  await submit(service, "acme", call("/good"))
  await submit(service, "acme", call("/broken"))
  await submit(service, "acme", call("/later", { dueAt: "2030-01-01T00:00:00Z" }))
  const keyed = json(call("/good"), { "idempotency-key": "k" })
  for (const status of [202, 200]) expect((await service.fetch(callsOf("acme"), keyed)).status).toBe(status)
  for (const path of ["/nothing", "/nothing?"]) expect((await service.fetch(path)).status).toBe(404)
  // Gauges are looked up every five seconds, the delay of the event loop at first after five.
  await until("everything is counted", async () => {
    const { samples } = await scrape(service)
    return (
      samples.get('esa_service_calls{state="armed"}') === 1 &&
      samples.get("esa_service_call_lateness_seconds_count") === 3 &&
      samples.has("esa_event_loop_delay_p99_seconds")
    )
  })
  return await scrape(service)
}

describe("/metrics", () => {
  it("counts what has happened, so that alerts can fire, and exports what the documents list, by the conventions of Prometheus", async () => {
    const { types, samples } = await runCalls({})
    expect(samples.get('esa_submissions_total{result="accepted"}')).toBe(4)
    expect(samples.get('esa_submissions_total{result="replayed"}')).toBe(1)
    for (const [to, count] of Object.entries({ Submitted: 4, Scheduled: 4, Running: 3, Succeeded: 2, Failed: 1 })) {
      expect({ to, count: samples.get(`esa_service_call_transitions_total{to="${to}"}`) }).toEqual({ to, count })
    }
    expect(samples.get('esa_attempts_total{outcome="Succeeded"}')).toBe(2)
    expect(samples.get('esa_http_failures_total{status="404"}')).toBe(2)
    expect(samples.get('esa_http_failures_total{status="503"}')).toBe(0)
    expect(docs("operations.md")).toContain("| `process_start_time_seconds`")
    expect(Math.abs((samples.get("process_start_time_seconds") ?? 0) * 1_000 - Date.now())).toBeLessThan(60_000)
    expect(samples.get('esa_attempts_total{outcome="HttpStatus"}')).toBe(1)
    expect(samples.get("esa_attempt_duration_seconds_count")).toBe(3)
    expect(samples.get("esa_commit_units_count") ?? 0).toBeGreaterThan(3)
    expect(samples.get('esa_database_bytes{file="database"}') ?? 0).toBeGreaterThan(10_000)
    expect(samples.get('esa_messages_unhandled{consumer="orchestration"}')).toBe(0)
    // A quantile is at most the largest bucket that has an end.
    const histograms = [...types].flatMap(([name, type]) => (type === "histogram" ? [name] : []))
    expect([...new Set(quantileAlerts.map(({ name }) => name))].sort()).toEqual(histograms.sort())
    for (const { name, above } of quantileAlerts) {
      const ends = [...samples.keys()].flatMap((sample) =>
        sample.startsWith(`${name}_bucket{`) ? [Number(/le="([\d.]+)"/.exec(sample)?.[1] ?? 0)] : []
      )
      expect({ name, canFire: Math.max(...ends) > above }).toEqual({ name, canFire: true })
    }

    const ofNats = [...documented].filter((name) => name.startsWith("esa_outbox_relay"))
    expect([...types.keys(), ...ofNats, OF_EXPORTER].sort()).toEqual([...documented].sort())
    for (const [name, type] of types)
      expect({ name, isTotal: name.endsWith("_total") }).toEqual({ name, isTotal: type === "counter" })
  })

  itNeeds(missingNats, "exports the same over NATS, and how far the broker is behind", async () => {
    await using nats = await NatsServer.start()
    const { types, samples } = await runCalls({ NATS_URL: nats.url })
    expect([...types.keys(), OF_EXPORTER].sort()).toEqual([...documented].sort())
    expect(samples.get('esa_outbox_relay_lag_messages{relay="relay-work"}')).toBe(0)
  })

  it("is what the dashboard shows", () => {
    expect([...namesIn(docs("grafana-dashboard.json"))].sort()).toEqual([...documented].sort())
  })
})
