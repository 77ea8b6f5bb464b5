import { afterAll, describe, expect, it } from "vitest"
import { callsOf, json, listAll, type Submission } from "./client.ts"
import { type CountingTarget, countingTarget } from "./counting-target.ts"
import { removeLeftovers, Service } from "./process.ts"
import { rowCounts } from "./stored.ts"
import { until } from "./until.ts"

const TENANT = "acme"
/** IDEMPOTENCY_KEYS=500 is the promise's own size and takes some minutes. */
const KEYS = Array.from(Array(Number(process.env["IDEMPOTENCY_KEYS"] ?? 20)).keys(), (index) => `key-${index}`)
const PARALLEL = 64

interface Answer {
  readonly status: number
  readonly id: string
  readonly isReplay: boolean
}

afterAll(removeLeftovers)

describe("one key, submitted many times at once", () => {
  it(
    "is one call, and other content is refused each time",
    async () => {
      await using target = countingTarget()
      await using service = await Service.start({ EGRESS_ALLOW: target.host })
      for (const key of KEYS) {
        const answers = await post(service, key, Array(PARALLEL).fill(contentOf(target, key)))
        expect(tally(answers)).toEqual({ "202 false": 1, "200 true": PARALLEL - 1 })
        expect(new Set(answers.map(({ id }) => id)).size).toBe(1)

        const conflicts = await post(service, key, Array(PARALLEL).fill(contentOf(target, `${key}, changed`)))
        expect(tally(conflicts)).toEqual({ "409 false": PARALLEL })
        expect(conflicts.every(({ id }) => id === answers[0]?.id)).toBe(true)
      }
      await expectOneCallEach(service, target)
    },
    30_000 + 1_000 * KEYS.length
  )

  it(
    "lets one of two contents win, and answers every other by what it holds",
    async () => {
      await using target = countingTarget()
      await using service = await Service.start({ EGRESS_ALLOW: target.host })
      for (const key of KEYS) {
        const contents = [contentOf(target, "heads"), contentOf(target, "tails")]
        const answers = await post(
          service,
          key,
          Array.from({ length: PARALLEL }, (_, index) => contents[index % 2])
        )
        expect(tally(answers)).toEqual({ "202 false": 1, "200 true": PARALLEL / 2 - 1, "409 false": PARALLEL / 2 })
        const winner = answers.findIndex(({ status }) => status === 202) % 2
        expect(answers.filter((_, index) => index % 2 === winner).every(({ status }) => status !== 409)).toBe(true)
      }
      await expectOneCallEach(service, target)
    },
    30_000 + 1_000 * KEYS.length
  )

  it("is a call of its own for another tenant, and the field means the same as the header", async () => {
    await using target = countingTarget()
    await using service = await Service.start({ EGRESS_ALLOW: target.host })
    const content = contentOf(target, "a")
    const submit = async (tenant: string, body: unknown, headers = {}) => {
      const response = await service.fetch(callsOf(tenant), json(body, headers))
      return { status: response.status, id: (await response.json()).serviceCallId }
    }
    const first = await submit("acme", content, { "idempotency-key": "k" })
    expect(first.status).toBe(202)
    expect(await submit("acme", { ...content, idempotencyKey: "k" })).toEqual({ status: 200, id: first.id })
    const other = await submit("globex", { ...content, idempotencyKey: "k" })
    expect(other.status).toBe(202)
    expect(other.id).not.toBe(first.id)
    await until("both calls were made", () => target.count === 2)
  })
})

const contentOf = (target: CountingTarget, body: string): Submission => ({
  name: "once",
  requestSpec: { method: "POST", url: target.url, body }
})

const post = (service: Service, key: string, contents: ReadonlyArray<Submission | undefined>): Promise<Array<Answer>> =>
  Promise.all(
    contents.map(async (content) => {
      const response = await service.fetch(callsOf(TENANT), json(content, { "idempotency-key": key }))
      const { serviceCallId } = await response.json()
      const isReplay = response.headers.get("idempotency-replayed") === "true"
      return { status: response.status, id: serviceCallId, isReplay }
    })
  )

/** How often there was which status, as a replay or not. */
const tally = (answers: ReadonlyArray<Answer>): Readonly<Record<string, number>> => {
  const counts: Record<string, number> = {}
  for (const { status, isReplay } of answers) {
    const kind = `${status} ${isReplay}`
    counts[kind] = (counts[kind] ?? 0) + 1
  }
  return counts
}

const expectOneCallEach = async (service: Service, target: CountingTarget): Promise<void> => {
  await until("nothing is on its way", () => {
    const { service_calls, deliveries } = rowCounts(service.dbPath)
    return service_calls === KEYS.length && deliveries === 0 && target.count >= KEYS.length
  })
  await until("all calls have ended", async () =>
    (await listAll(service, TENANT)).every(({ status }) => status === "Succeeded")
  )
  expect(target.count).toBe(KEYS.length)
  expect(target.byKey.size).toBe(KEYS.length)
  expect(rowCounts(service.dbPath)).toMatchObject({ submissions: KEYS.length, service_calls: KEYS.length })
}
