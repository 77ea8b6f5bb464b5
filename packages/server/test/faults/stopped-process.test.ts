import { connect } from "node:net"
import { join } from "node:path"
import { ATTEMPT_GRACE_MS } from "@event-service-agent/execution/domain/attempt"
import { afterAll, describe, expect, it } from "vitest"
import { detailOf, listAll, type Submission, submit, TERMINAL } from "../client.ts"
import { countingTarget } from "../counting-target.ts"
import { removeLeftovers, Service } from "../process.ts"
import { damageOf, stored } from "../stored.ts"
import { until } from "../until.ts"
import { STOPPING } from "./stopping-vault.ts"

const TENANT = "acme"
const STOP_BEFORE_SEND = join(import.meta.dirname, "stop-before-send.ts")
const TIMEOUT_MS = 1_000
/** Longer than an attempt may last, so that the stopped one is lost when the process goes on. */
const STOPPED_MS = TIMEOUT_MS + ATTEMPT_GRACE_MS + 500
/** The promise for whoever stops the service. */
const END_MS_MAX = 30_000

afterAll(removeLeftovers)

describe("a process", () => {
  it.concurrent("that stood still does not send late what it had claimed, and says once that it does not know the outcome", async () => {
    await using target = countingTarget()
    const command = [process.execPath, STOP_BEFORE_SEND]
    await using service = await Service.start({ EGRESS_ALLOW: target.host }, { command })
    const { serviceCallId } = await submit(service, TENANT, callTo(target.url))
    await stopUntilLost(service)
    const ended = await endOf(service, serviceCallId)
    expect(ended.outcome).toMatchObject({ type: "Failed", error: { kind: "OutcomeUnknown", sent: "maybe" } })
    // It waits for everything that it may still send.
    expect((await service.kill("SIGTERM")).exitCode).toBe(0)
    expect(target.count).toBe(0)
    expect(outcomesOf(service)).toEqual({ ExecutionFailed: 1, ServiceCallFailed: 1 })
  })

  it.concurrent("that stood still sends once what may be sent again, by the second attempt", async () => {
    await using target = countingTarget()
    const command = [process.execPath, STOP_BEFORE_SEND]
    await using service = await Service.start({ EGRESS_ALLOW: target.host }, { command })
    const { serviceCallId } = await submit(service, TENANT, { ...callTo(target.url), onUnknown: "resend" })
    await stopUntilLost(service)
    const ended = await endOf(service, serviceCallId)
    expect(ended).toMatchObject({ status: "Succeeded", attempt: { number: 2 } })
    expect((await service.kill("SIGTERM")).exitCode).toBe(0)
    expect(target.count).toBe(1)
    expect(outcomesOf(service)).toEqual({ ExecutionSucceeded: 1, ServiceCallSucceeded: 1 })
  })

  it.concurrent("that stood still in full flight sends nothing twice, gives each call one outcome, and tells no untruth about it", async () => {
    const calls = 60
    await using target = countingTarget(async () => {
      await Bun.sleep(100)
      return new Response("ok")
    })
    await using service = await Service.start({ EGRESS_ALLOW: target.host, IN_FLIGHT_PER_TENANT_MAX: "10" })
    for (const _ of Array(calls)) await submit(service, TENANT, callTo(target.url))
    await until("it is in full flight", () => target.count >= 25)
    service.signal("SIGSTOP")
    await pause(STOPPED_MS)
    service.signal("SIGCONT")

    const ended = await until("all calls have ended", async () => {
      const listed = await listAll(service, TENANT)
      return listed.every(({ status }) => TERMINAL.has(status)) && listed
    })
    expect((await service.kill("SIGTERM")).exitCode).toBe(0)
    expect(ended).toHaveLength(calls)
    for (const { serviceCallId, status, failure } of ended) {
      const sent = failure?.sent ?? "yes"
      const requests = target.byKey.get(serviceCallId)?.length ?? 0
      const isTrue = { yes: requests === 1, maybe: requests <= 1, no: requests === 0 }[sent]
      expect({ serviceCallId, status, sent, requests, isTrue }).toMatchObject({ isTrue: true })
    }
    const { ServiceCallSucceeded = 0, ServiceCallFailed = 0 } = outcomesOf(service)
    expect(ServiceCallSucceeded + ServiceCallFailed).toBe(calls)
    expect(damageOf(service.dbPath)).toEqual([])
  })

  it.concurrent("that is told to end while targets and clients hang does so within 30 s, and the next start says what nobody knows", async () => {
    const calls = 5
    await using target = countingTarget(() => new Promise<Response>(() => {}))
    await using service = await Service.start({ EGRESS_ALLOW: target.host })
    const ids: Array<string> = []
    const patient = { ...callTo(target.url), timeoutMs: 120_000 }
    for (const _ of Array(calls)) ids.push((await submit(service, TENANT, patient)).serviceCallId)
    await until("all are under way", () => target.count === calls)
    using client = await halfRequest(service.url)

    const startedAt = performance.now()
    expect((await service.kill("SIGTERM")).exitCode).toBe(0)
    expect(performance.now() - startedAt).toBeLessThan(END_MS_MAX)
    expect(client.isClosed()).toBe(true)
    const messages = service.logs.map(({ message }) => String(message))
    expect(
      messages.filter((message) => message.startsWith(`requests cut off, since they took too long: ${calls}.`))
    ).toHaveLength(1)
    await service.restart()
    for (const id of ids) {
      const { outcome } = await endOf(service, id)
      expect(outcome).toMatchObject({ type: "Failed", error: { kind: "OutcomeUnknown", sent: "maybe" } })
      expect(target.byKey.get(id)).toHaveLength(1)
    }
  })
})

/** A client that begins a request and never ends it. */
const halfRequest = async (url: string): Promise<Disposable & { readonly isClosed: () => boolean }> => {
  let isClosed = false
  const { promise, resolve } = Promise.withResolvers<void>()
  const socket = connect(Number(new URL(url).port), "127.0.0.1", resolve).on("close", () => {
    isClosed = true
  })
  await promise
  const head = "POST /api/tenants/acme/service-calls HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
  socket.write(`${head}Content-Length: 100\r\n\r\n{`)
  return { isClosed: () => isClosed, [Symbol.dispose]: () => socket.destroy() }
}

const callTo = (url: string): Submission => ({
  name: "a call",
  requestSpec: { method: "PUT", url },
  timeoutMs: TIMEOUT_MS
})

/** Waits until the program stops itself between a claim and its send, and lets it go on when the claim is void. */
const stopUntilLost = async (service: Service) => {
  await until("it stops itself", () => service.logs.some(({ message }) => message === STOPPING))
  expect(stored(service.dbPath, "SELECT 1 FROM execution_attempts WHERE outcome IS NULL")).toHaveLength(1)
  await pause(STOPPED_MS)
  service.signal("SIGCONT")
}

const pause = (ms: number) => {
  const startedAt = performance.now()
  return until("the pause is over", () => performance.now() - startedAt > ms, 2 * ms)
}

const endOf = (service: Service, serviceCallId: string) =>
  until("the call has ended", async () => {
    const detail = await detailOf(service, TENANT, serviceCallId)
    return TERMINAL.has(detail.status) && detail
  })

/** How many events of each kind say that something has ended. */
const outcomesOf = (service: Service): Readonly<Record<string, number>> => {
  const counts = stored<{ readonly type: string; readonly events: number }>(
    service.dbPath,
    `SELECT type, count(*) AS events FROM outbox
     WHERE type IN ('ExecutionSucceeded', 'ExecutionFailed', 'ServiceCallSucceeded', 'ServiceCallFailed') GROUP BY type`
  )
  return Object.fromEntries(counts.map(({ type, events }) => [type, events]))
}
