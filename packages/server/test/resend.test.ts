import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { callsOf, type Detail, detailOf, json, type Reference, type Submission, submit, TERMINAL } from "./client.ts"
import { type Arrival, type CountingTarget, countingTarget } from "./counting-target.ts"
import { removeLeftovers, Service } from "./process.ts"
import { until } from "./until.ts"

afterAll(removeLeftovers)

const TENANT = "acme"
const LATER = "2999-01-01T00:00:00Z"
const CANARY = "c4nary"
const UNKNOWN_ID = "019a53b1-7c00-7d4e-8a51-0f6c1d2e3b4a"
const BODY = `{"password": "${CANARY}-body", "text": "grüße ✓ \\u0000"}\r\n`

/** What the client sees of an answer to a resend. */
interface Answer extends Partial<Reference> {
  readonly type?: string
  readonly errors?: ReadonlyArray<{ readonly pointer: string }>
}

describe("a call that is repeated", () => {
  let target: CountingTarget
  let service: Service
  /** Everything that was answered here. */
  const answers: Array<string> = []
  beforeAll(async () => {
    target = countingTarget()
    service = await Service.start({ EGRESS_ALLOW: target.host, LOG_LEVEL: "trace" })
  })
  afterAll(async () => {
    await service[Symbol.asyncDispose]()
    await target[Symbol.asyncDispose]()
  })

  const secretCall = (change: Partial<Submission> = {}): Submission => ({
    name: "with secrets",
    tags: ["billing", "starred"],
    timeoutMs: 7_000,
    requestSpec: {
      method: "PUT",
      url: `${target.url}/hook?token=${CANARY}&n=1`,
      headers: { Authorization: `Bearer ${CANARY}`, "X-Other": `${CANARY} x`, "content-type": "application/json" },
      body: BODY
    },
    ...change
  })
  const resend = async (id: string, body: unknown, headers = {}, tenant = TENANT) => {
    const response = await service.fetch(`${callsOf(tenant)}/${id}/resend`, json(body, headers))
    const text = await response.text()
    answers.push(text + JSON.stringify([...response.headers]))
    const answer: Answer = JSON.parse(text)
    return { status: response.status, headers: response.headers, answer, id: answer.serviceCallId ?? "" }
  }
  const ended = async (id: string): Promise<Detail> => {
    const call = await until("the call has ended", async () => {
      const detail = await detailOf(service, TENANT, id)
      return TERMINAL.has(detail.status) && detail
    })
    answers.push(JSON.stringify(call))
    return call
  }
  const arrivalOf = (id: string): Arrival => {
    const [arrival, ...more] = target.byKey.get(id) ?? []
    if (arrival === undefined || more.length > 0) throw new Error(`${id} did not arrive once`)
    return arrival
  }
  /** All that the target got but for the key and what tells of the connection. */
  const sameOf = ({ method, path, headers, body }: Arrival) => ({
    method,
    path,
    body,
    headers: [...headers].filter(([name]) => name !== "idempotency-key").sort()
  })

  it("sends the same bytes under a key of its own, and may be repeated again, as long as it was to be kept", async () => {
    const first = await submit(service, TENANT, secretCall({ keepRequest: true, onUnknown: "resend" }))
    const original = await ended(first.serviceCallId)
    expect(original).toMatchObject({ status: "Succeeded", clonedFrom: null, requestKept: true })
    let from = original
    for (let round = 0; round < 2; round++) {
      const { status, headers, answer, id } = await resend(from.serviceCallId, {})
      expect({ status, answer: answer.status }).toEqual({ status: 202, answer: "Submitted" })
      expect(headers.get("location")).toBe(`${callsOf(TENANT)}/${id}`)
      const again = await ended(id)
      expect(again.serviceCallId).not.toBe(from.serviceCallId)
      expect(sameOf(arrivalOf(id))).toEqual(sameOf(arrivalOf(first.serviceCallId)))
      expect(arrivalOf(id).body).toBe(BODY)
      expect(again).toMatchObject({
        clonedFrom: from.serviceCallId,
        requestKept: true,
        name: original.name,
        request: original.request,
        timeoutMs: 7_000,
        onUnknown: "resend"
      })
      // The star is about the one call.
      expect(again.tags).toEqual(["billing"])
      expect(again.correlationId).not.toBe(original.correlationId)
      from = again
    }
    expect((await ended(first.serviceCallId)).tags).toEqual(["billing", "starred"])
  })

  it("is repeated at once for a client that waits, and at its time for one that says so", async () => {
    const { serviceCallId } = await submit(service, TENANT, secretCall({ keepRequest: true }))
    await ended(serviceCallId)
    const waited = await resend(serviceCallId, {}, { prefer: "wait=40" })
    expect({ status: waited.status, applied: waited.headers.get("preference-applied") }).toEqual({
      status: 200,
      applied: "wait=40"
    })
    expect(waited.answer.status).toBe("Succeeded")
    const later = await resend(serviceCallId, { dueAt: LATER })
    expect(later.status).toBe(202)
    await until("it is scheduled", async () => (await detailOf(service, TENANT, later.id)).status === "Scheduled")
    expect(await detailOf(service, TENANT, later.id)).toMatchObject({ dueAt: "2999-01-01T00:00:00.000Z" })
    // No body at all: at once.
    const path = `${callsOf(TENANT)}/${serviceCallId}/resend`
    expect((await service.fetch(path, { method: "POST" })).status).toBe(202)
  })

  it("may still be waiting for its time itself, and keeps its own", async () => {
    const { serviceCallId } = await submit(service, TENANT, secretCall({ dueAt: LATER }))
    await until("it is scheduled", async () => (await detailOf(service, TENANT, serviceCallId)).requestKept)
    const { status, id } = await resend(serviceCallId, {})
    expect(status).toBe(202)
    expect(await ended(id)).toMatchObject({ status: "Succeeded", clonedFrom: serviceCallId, requestKept: false })
    expect(arrivalOf(id).body).toBe(BODY)
    expect(await detailOf(service, TENANT, serviceCallId)).toMatchObject({ status: "Scheduled" })
    expect(target.byKey.has(serviceCallId)).toBe(false)

    await service.fetch(`${callsOf(TENANT)}/${serviceCallId}/cancel`, { method: "POST" })
    expect(await resend(serviceCallId, {})).toMatchObject({
      status: 409,
      answer: { type: "urn:event-service-agent:problem:request-not-kept" }
    })
  })

  it("cannot be repeated once its request is erased", async () => {
    for (const change of [{}, { requestSpec: { method: "POST", url: `${target.url}/`, body: CANARY } } as const]) {
      const { serviceCallId } = await submit(service, TENANT, secretCall(change))
      expect(await ended(serviceCallId)).toMatchObject({ requestKept: false })
      const before = target.count
      const { status, answer } = await resend(serviceCallId, {})
      expect({ status, type: answer.type }).toEqual({
        status: 409,
        type: "urn:event-service-agent:problem:request-not-kept"
      })
      expect(target.count).toBe(before)
    }
  })

  it("is nobody else's: for other tenants it is as unknown as an id of no call", async () => {
    const { serviceCallId } = await submit(service, TENANT, secretCall({ keepRequest: true }))
    await ended(serviceCallId)
    const without = ({ status, answer, headers }: Awaited<ReturnType<typeof resend>>) => {
      const { correlationId: _, ...rest } = { correlationId: "", ...answer }
      return { status, rest, type: headers.get("content-type") }
    }
    const foreign = without(await resend(serviceCallId, {}, {}, "globex"))
    expect(foreign).toEqual(without(await resend(UNKNOWN_ID, {}, {}, "globex")))
    expect(foreign).toEqual(without(await resend(UNKNOWN_ID, {})))
    expect(foreign.status).toBe(404)
    // Neither does the other tenant get it by the key.
    const key = { "idempotency-key": "of-acme" }
    expect((await resend(serviceCallId, { dueAt: LATER }, key)).status).toBe(202)
    expect((await resend(serviceCallId, { dueAt: LATER }, key, "globex")).status).toBe(404)
  })

  it("is one more call for one key, whatever happens to its request and its time meanwhile", async () => {
    const dueAt = new Date(Date.now() + 5_000).toISOString()
    const { serviceCallId } = await submit(service, TENANT, secretCall({ dueAt }))
    await until("it is scheduled", async () => (await detailOf(service, TENANT, serviceCallId)).requestKept)
    const key = { "idempotency-key": "again" }
    const first = await resend(serviceCallId, { dueAt: LATER }, key)
    expect({ status: first.status, replayed: first.headers.get("idempotency-replayed") }).toEqual({
      status: 202,
      replayed: null
    })
    const repeatedly = async () => {
      const replay = await resend(serviceCallId, { dueAt: LATER.replace("Z", "+00:00") }, key)
      expect({ status: replay.status, id: replay.id, replayed: replay.headers.get("idempotency-replayed") }).toEqual({
        status: 200,
        id: first.id,
        replayed: "true"
      })
      for (const body of [{}, { dueAt: "2998-01-01T00:00:00Z" }]) {
        const other = await resend(serviceCallId, body, key)
        expect({ status: other.status, type: other.answer.type }).toEqual({
          status: 409,
          type: "urn:event-service-agent:problem:idempotency-key-reused"
        })
      }
    }
    await repeatedly()
    await ended(serviceCallId)
    expect((await detailOf(service, TENANT, serviceCallId)).requestKept).toBe(false)
    await repeatedly()
    // A submission with the key is another thing, and so is the other way round.
    const submission = await service.fetch(callsOf(TENANT), json(secretCall(), key))
    expect(submission.status).toBe(409)
    answers.push(await submission.text())
    expect((await resend(first.id, { dueAt: LATER }, key)).status).toBe(409)
    expect(await countWithKey(first.id)).toBe(1)
  })

  /** Calls of the tenant that say that they repeat what the call repeats. */
  const countWithKey = async (id: string): Promise<number> => {
    const { clonedFrom } = await detailOf(service, TENANT, id)
    const { items }: { readonly items: ReadonlyArray<Detail> } = await (
      await service.fetch(`${callsOf(TENANT)}?limit=100`)
    ).json()
    const details = await Promise.all(items.map(({ serviceCallId }) => detailOf(service, TENANT, serviceCallId)))
    return details.filter((detail) => detail.clonedFrom === clonedFrom).length
  }

  it("says which field of a repetition is wrong", async () => {
    const { serviceCallId } = await submit(service, TENANT, secretCall({ dueAt: LATER }))
    await until("it is scheduled", async () => (await detailOf(service, TENANT, serviceCallId)).requestKept)
    const rows: ReadonlyArray<readonly [body: unknown, headers: Readonly<Record<string, string>>, pointer: string]> = [
      [{ dueAt: "2020-01-01T00:00:00Z" }, {}, "#/dueAt"],
      [{ dueAt: "tomorrow" }, {}, "#/dueAt"],
      [{ dueAt: null }, {}, "#/dueAt"],
      [{ body: CANARY }, {}, "#/body"],
      [[], {}, "#"],
      [{}, { "idempotency-key": "a b" }, "#/idempotency-key"]
    ]
    for (const [body, headers, pointer] of rows) {
      const { status, answer } = await resend(serviceCallId, body, headers)
      expect({ body, status, pointers: answer.errors?.map((error) => error.pointer) }).toEqual({
        body,
        status: 422,
        pointers: [pointer]
      })
    }
  })

  it("may be named by a submission of one's own", async () => {
    const first = await submit(service, TENANT, secretCall({ dueAt: LATER }))
    const clonedFrom = first.serviceCallId
    const clone = await submit(service, TENANT, secretCall({ clonedFrom, dueAt: LATER }))
    // At once, and when orchestration has it.
    expect(await detailOf(service, TENANT, clone.serviceCallId)).toMatchObject({ clonedFrom })
    await until("it is scheduled", async () => (await detailOf(service, TENANT, clone.serviceCallId)).requestKept)
    expect(await detailOf(service, TENANT, clone.serviceCallId)).toMatchObject({ clonedFrom, status: "Scheduled" })
    for (const wrong of ["17", "", 7, null]) {
      const response = await service.fetch(callsOf(TENANT), json({ ...secretCall(), clonedFrom: wrong }))
      const { errors }: Answer = await response.json()
      expect({ wrong, status: response.status, pointers: errors?.map(({ pointer }) => pointer) }).toEqual({
        wrong,
        status: 422,
        pointers: ["#/clonedFrom"]
      })
    }
  })

  it("has shown none of its secrets in all this", () => {
    expect(answers.length).toBeGreaterThan(30)
    expect(answers.filter((answer) => answer.includes(CANARY))).toEqual([])
    expect(JSON.stringify(service.logs)).not.toContain(CANARY)
    const arrived = [...target.byKey.values()].flat()
    expect(arrived.filter(({ body }) => body.includes(CANARY)).length).toBeGreaterThan(5)
  })
})
