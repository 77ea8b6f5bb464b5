import { afterAll, describe, expect, it } from "vitest"
import { callsOf, json, sideBySide, submit } from "./client.ts"
import { countingTarget } from "./counting-target.ts"
import { removeLeftovers, Service } from "./process.ts"
import { until } from "./until.ts"

/** FLOOD_CALLS=50000 is the promise's own size and takes some 20 s. */
const FLOOD_CALLS = Number(process.env["FLOOD_CALLS"] ?? 4_000)
const CLIENTS = 32
const IN_FLIGHT_MAX = 100
const LATENESS_P99_MS_MAX = 2_000
const TRIES_MAX = 3
/** The other tenant begins a call this often, every second one due after a moment. */
const CALL_EVERY_MS = 50
const DUE_IN_MS = 500
/** It goes on for so long after the last call of the flood. */
const GOES_ON_MS = 1_000

afterAll(removeLeftovers)

describe("a tenant that floods a slow target", () => {
  it("does not delay another one, whose share it cannot take", async () => {
    const compare = async () => {
      const { latenessMs, floodArrivals, floodSeconds } = await measure({
        perTenantMax: IN_FLIGHT_MAX / 4,
        answerAfterMs: 10_000
      })
      expect(floodArrivals).toBeGreaterThanOrEqual(IN_FLIGHT_MAX / 4)
      const [p50, p99] = [quantile(latenessMs, 0.5), quantile(latenessMs, 0.99)]
      return {
        flood: FLOOD_CALLS,
        floodSeconds,
        calls: latenessMs.length,
        p50,
        p99,
        isInTime: p99 < LATENESS_P99_MS_MAX
      }
    }
    // What other programs do may delay the calls of one try. What the flood does would delay those of each.
    const tries = [await compare()]
    while (!tries.some(({ isInTime }) => isInTime) && tries.length < TRIES_MAX) tries.push(await compare())
    expect(tries.at(-1)).toMatchObject({ isInTime: true })
  })

  it("would delay it without a cap for each tenant", async () => {
    const { latenessMs } = await measure({ perTenantMax: IN_FLIGHT_MAX, answerAfterMs: 4_000 })
    expect(quantile(latenessMs, 0.99)).toBeGreaterThan(LATENESS_P99_MS_MAX)
  })
})

/** @param answerAfterMs how long the flooded target takes for each answer */
const measure = async ({ perTenantMax, answerAfterMs }: { perTenantMax: number; answerAfterMs: number }) => {
  await using slow = countingTarget(async () => {
    await Bun.sleep(answerAfterMs)
    return new Response("ok")
  })
  await using quick = countingTarget()
  await using service = await Service.start({
    EGRESS_ALLOW: `${slow.host},${quick.host}`,
    LOG_LEVEL: "warning",
    IN_FLIGHT_MAX: String(IN_FLIGHT_MAX),
    IN_FLIGHT_PER_TENANT_MAX: String(perTenantMax)
  })
  const dueAtById = new Map<string, number>()
  let endsAt = Number.POSITIVE_INFINITY
  const callQuick = async () => {
    for (let index = 0; performance.now() < endsAt; index++) {
      const dueAt = Date.now() + (index % 2) * DUE_IN_MS
      const { serviceCallId } = await submit(service, "neighbour", {
        name: "quick",
        requestSpec: { method: "GET", url: quick.url },
        dueAt: new Date(dueAt).toISOString()
      })
      dueAtById.set(serviceCallId, dueAt)
      await Bun.sleep(CALL_EVERY_MS)
    }
  }
  const neighbour = callQuick()
  const startedAt = performance.now()
  const body = { name: "slow", requestSpec: { method: "POST", url: slow.url } as const, timeoutMs: 30_000 }
  await sideBySide(Array(FLOOD_CALLS).keys(), CLIENTS, async () => {
    const response = await service.fetch(callsOf("flood"), json(body))
    expect(response.status).toBe(202)
    await response.arrayBuffer()
  })
  endsAt = performance.now() + GOES_ON_MS
  const floodSeconds = Math.round(endsAt - GOES_ON_MS - startedAt) / 1_000
  await neighbour
  const haveArrived = () => [...dueAtById.keys()].every((id) => quick.byKey.has(id))
  await until("the other tenant's calls have arrived", haveArrived, 60_000)
  const latenessMs = [...dueAtById].map(([id, dueAt]) => (quick.byKey.get(id)?.[0]?.arrivedAt ?? Number.NaN) - dueAt)
  return { latenessMs, floodArrivals: slow.count, floodSeconds }
}

const quantile = (values: ReadonlyArray<number>, q: number): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length * q)] ?? Number.NaN
