import { Database } from "bun:sqlite"
import { readFileSync } from "node:fs"
import { afterAll, describe, expect, it } from "vitest"
import { callsOf, detailOf, type Submission, submit, TERMINAL } from "../client.ts"
import { type CountingTarget, countingTarget } from "../counting-target.ts"
import { removeLeftovers, Service } from "../process.ts"
import { stored } from "../stored.ts"
import { storeUnhandled } from "../unhandled.ts"
import { until } from "../until.ts"
import { findInFiles, type Needles } from "./files.ts"

const TENANT = "acme"
const FAR = "2999-01-01T00:00:00Z"
/** Of bodies: within the row's page, over a second one, and over some pages of their own. */
/** Enough to look at what is stored of a call before it is due, where the disk is busy, too. */
const SOON_MS = 3_000
const BODY_BYTES = [10, 3_000, 20_000]
/** A run of so many bytes of a ciphertext is no accident. */
const RUN_BYTES = 16
const RUNS_EVERY = 200
/** The same in all sealed requests of a key. */
const KEY_ID_BYTES = 4
/** Key id and nonce, which are no secret. */
const HEADER_BYTES = 16

afterAll(removeLeftovers)

describe("the sealed request of a call that has ended", () => {
  it("is in none of the files, however the call ended, once the log is merged", async () => {
    const answered = Promise.withResolvers<void>()
    await using target = countingTarget(async ({ path }) => {
      if (path === "/silent") return new Promise<Response>(() => {})
      if (path !== "/broken") await answered.promise
      return new Response(null, { status: path === "/broken" ? 503 : 200 })
    })
    const closed = countingTarget()
    await closed[Symbol.asyncDispose]()
    const inFlight = String(2 * BODY_BYTES.length)
    await using service = await Service.start({
      EGRESS_ALLOW: `${target.host},${closed.host}`,
      IN_FLIGHT_MAX: inFlight,
      IN_FLIGHT_PER_TENANT_MAX: inFlight
    })
    // Never stored, as the test below shows.
    const cutOff = await submitNow(service, target.url)
    const first = await submitAll(service, [
      ["resent", { requestSpec: { url: target.url, method: "PUT" }, onUnknown: "resend" }]
    ])
    await until("all places are taken", () => target.count === cutOff.length + first.size)
    const second = await submitAll(service, [
      ["broken", { requestSpec: { url: `${target.url}/broken` } }],
      ["refused", { requestSpec: { url: closed.url } }],
      ["silent", { requestSpec: { url: `${target.url}/silent` }, timeoutMs: 300 }],
      ["cancelled", { dueAt: FAR }],
      ["cancelled when due", { requestSpec: { url: target.url } }]
    ])
    await cancel(service, second, "cancelled when due")
    await service.kill("SIGKILL")
    await service.restart()
    const late = await submitAll(service, [
      ["made later", { requestSpec: { url: target.url }, dueAt: new Date(Date.now() + SOON_MS).toISOString() }],
      ["kept", { requestSpec: { url: target.url }, keepRequest: true }],
      ["kept, cancelled", { dueAt: FAR, keepRequest: true }]
    ])
    const calls = new Map([...first, ...second, ...late])
    const sealed = new Map([...calls].map(([name, { sealed }]) => [name, sealed]))
    const kept = new Map([...sealed].filter(([name]) => name.startsWith("kept")))
    const erased = new Map([...sealed].filter(([name]) => !name.startsWith("kept")))
    // The check finds what is there.
    const found = namesIn(findInFiles(service.folder, needlesOf(sealed)))
    for (const name of late.keys()) expect(found).toContain(name)

    answered.resolve()
    await cancel(service, calls, "cancelled ")
    await cancel(service, calls, "kept, cancelled")
    const ends = new Map<string, string>()
    for (const [name, { id }] of [...calls, ...cutOff.map((id) => ["cut off", { id }] as const)]) {
      const { outcome } = await until(`${name} has ended`, async () => {
        const found = await detailOf(service, TENANT, id)
        return TERMINAL.has(found.status) && found
      })
      ends.set(name.replace(/ \d+$/, ""), outcome?.type === "Failed" ? outcome.error.kind : String(outcome?.type))
    }
    expect(Object.fromEntries(ends)).toEqual({
      broken: "HttpStatus",
      refused: "ConnectionFailed",
      silent: "Timeout",
      cancelled: "Cancelled",
      "cancelled when due": "Cancelled",
      "cut off": "OutcomeUnknown",
      resent: "Succeeded",
      "made later": "Succeeded",
      kept: "Succeeded",
      "kept, cancelled": "Cancelled"
    })
    expect(
      stored(
        service.dbPath,
        `SELECT type FROM outbox WHERE sealed IS NOT NULL
         UNION ALL SELECT status FROM service_calls WHERE sealed IS NOT NULL AND keep_request = 0
         UNION ALL SELECT 'attempt' FROM execution_attempts WHERE sealed_for_resend IS NOT NULL`
      )
    ).toEqual([])

    // While it runs, the log is merged and emptied every minute; this is what that does.
    using database = new Database(service.dbPath)
    expect(database.query("PRAGMA wal_checkpoint(TRUNCATE)").get()).toMatchObject({ busy: 0 })
    database.close()
    expect(findInFiles(service.folder, needlesOf(erased))).toEqual([])
    expect(namesIn(findInFiles(service.folder, needlesOf(kept)))).toEqual([...kept.keys()].sort())
  })

  it("was never in any of the files, when the call was due at once and found a place", async () => {
    const answered = Promise.withResolvers<void>()
    await using target = countingTarget(async () => {
      await answered.promise
      return new Response("ok")
    })
    await using service = await Service.start({ EGRESS_ALLOW: target.host })
    const ids = [...(await submitNow(service, target.url)), ...(await submitNow(service, target.url))]
    await until("all are under way", () => target.count === ids.length)
    const contents = [contentOf(service)]
    answered.resolve()
    for (const id of ids) {
      await until("the call has ended", async () => (await detailOf(service, TENANT, id)).status === "Succeeded")
    }
    contents.push(contentOf(service))

    // Those for later show how all sealed requests of this service begin, and that the check finds what is there.
    const later = [...(await submitAll(service, [["later", { dueAt: FAR }]])).values()]
    const start = later[0]?.sealed.subarray(0, KEY_ID_BYTES) ?? new Uint8Array()
    expect(countIn(contentOf(service), start)).toBeGreaterThanOrEqual(later.length)
    // Four bytes may be there by accident, but hardly twice, and each request was submitted twice.
    for (const content of contents) expect(countIn(content, start)).toBeLessThan(2)
  })

  it("is in none of the files after a stop, and after a restart that follows on a crash", async () => {
    await using target = countingTarget()
    await using service = await Service.start({ EGRESS_ALLOW: target.host })
    const stopped = new Map([["before a stop", await endCalls(service, target)]])
    expect((await service.kill("SIGTERM")).exitCode).toBe(0)
    expect(findInFiles(service.folder, needlesOf(stopped))).toEqual([])

    await service.restart()
    const killed = new Map([["before a crash", await endCalls(service, target)]])
    await service.kill("SIGKILL")
    // What can be promised: until then the log keeps it.
    expect(findInFiles(service.folder, needlesOf(killed))).toEqual(["before a crash in service.db-wal"])
    await service.restart()
    await until("the log is emptied", () => findInFiles(service.folder, needlesOf(killed)).length === 0)
  })

  it("goes with a message that is given up", async () => {
    await using service = await Service.start()
    await submit(service, TENANT, {
      name: "a call",
      dueAt: FAR,
      requestSpec: { method: "GET", url: "https://example.com/" }
    })
    await until("it is scheduled", () => stored(service.dbPath, "SELECT 1 FROM timer_schedules").length === 1)
    await service.kill("SIGTERM")
    using database = new Database(service.dbPath)
    storeUnhandled(database, { where: "1" })
    database.run("UPDATE outbox SET payload = '{' WHERE type = 'SubmitServiceCall'")
    database.close()
    await service.restart()
    const { items } = await (await service.fetch("/api/admin/dead-letters")).json()
    expect(items).toMatchObject([{ consumer: "orchestration", messageType: "SubmitServiceCall" }])
    const sealed = "SELECT type FROM outbox WHERE sealed IS NOT NULL"
    expect(stored(service.dbPath, sealed)).toHaveLength(1)
    const path = `/api/admin/dead-letters/orchestration/${items[0].seq}`
    expect((await service.fetch(path, { method: "DELETE" })).status).toBe(204)
    expect(stored(service.dbPath, sealed)).toEqual([])
  })
})

interface SealedCall {
  readonly id: string
  readonly sealed: Uint8Array
}

type Kind = readonly [
  name: string,
  fields: Partial<Omit<Submission, "requestSpec">> & { readonly requestSpec?: Partial<Submission["requestSpec"]> }
]

/** Submits each kind with bodies of different sizes. Gives the calls by kind and size, with their sealed requests. */
const submitAll = async (service: Service, kinds: ReadonlyArray<Kind>): Promise<ReadonlyMap<string, SealedCall>> => {
  const calls = new Map<string, SealedCall>()
  for (const [kind, { requestSpec, ...fields }] of kinds) {
    for (const bytes of BODY_BYTES) {
      const name = `${kind} ${bytes}`
      const request = { method: "POST" as const, url: "https://example.com/", body: "x".repeat(bytes), ...requestSpec }
      const { serviceCallId: id } = await submit(service, TENANT, { name, requestSpec: request, ...fields })
      calls.set(name, { id, sealed: sealedOf(service, id, bytes) })
    }
  }
  return calls
}

/** Submits calls that are due at once, with bodies of different sizes. Gives their ids. */
const submitNow = async (service: Service, url: string): Promise<ReadonlyArray<string>> => {
  const ids: Array<string> = []
  for (const bytes of BODY_BYTES) {
    const requestSpec = { method: "POST", url, body: "x".repeat(bytes) } as const
    ids.push((await submit(service, TENANT, { name: `now ${bytes}`, requestSpec })).serviceCallId)
  }
  return ids
}

/** All bytes of the database and its log. */
const contentOf = ({ dbPath }: Service): Buffer =>
  Buffer.concat([dbPath, `${dbPath}-wal`].map((path) => readFileSync(path)))

const countIn = (content: Buffer, bytes: Uint8Array): number => {
  let count = 0
  for (let at = content.indexOf(bytes); at >= 0; at = content.indexOf(bytes, at + 1)) count++
  return count
}

const cancel = async (service: Service, calls: ReadonlyMap<string, SealedCall>, prefix: string): Promise<void> => {
  for (const [name, { id }] of calls) {
    if (!name.startsWith(prefix)) continue
    expect((await service.fetch(`${callsOf(TENANT)}/${id}/cancel`, { method: "POST" })).status).toBe(200)
  }
}

/** Makes and cancels some calls. Gives their sealed requests. */
const endCalls = async (service: Service, target: CountingTarget): Promise<Uint8Array> => {
  const calls = await submitAll(service, [
    // Not at once, so that the sealed request is still there when it is looked for.
    ["made", { requestSpec: { url: target.url }, dueAt: new Date(Date.now() + SOON_MS).toISOString() }],
    ["cancelled", { dueAt: FAR }]
  ])
  await cancel(service, calls, "cancelled")
  for (const { id } of calls.values()) {
    await until("the call has ended", async () => TERMINAL.has((await detailOf(service, TENANT, id)).status))
  }
  return Buffer.concat([...calls.values()].map(({ sealed }) => sealed))
}

/** As it is stored while the call waits, or in case it is resent. */
const sealedOf = (service: Service, id: string, bytes: number): Uint8Array => {
  const rows = stored<{ readonly sealed: Uint8Array }>(
    service.dbPath,
    `SELECT sealed FROM service_calls WHERE service_call_id = ?1 AND sealed IS NOT NULL UNION ALL
     SELECT sealed_for_resend FROM execution_attempts WHERE service_call_id = ?1 AND sealed_for_resend IS NOT NULL`,
    id
  )
  const sealed = rows[0]?.sealed ?? new Uint8Array()
  expect(sealed.byteLength).toBeGreaterThan(bytes)
  return sealed
}

/** Short runs all over each ciphertext. */
const needlesOf = (sealed: ReadonlyMap<string, Uint8Array>): Needles =>
  new Map(
    [...sealed].map(([name, bytes]) => {
      const runs: Array<Uint8Array> = []
      for (let at = HEADER_BYTES; at + RUN_BYTES <= bytes.byteLength; at += RUNS_EVERY) {
        runs.push(bytes.subarray(at, at + RUN_BYTES))
      }
      return [name, runs] as const
    })
  )

const namesIn = (found: ReadonlyArray<string>): ReadonlyArray<string> =>
  [...new Set(found.map((text) => text.replace(/ in [^ ]+$/, "")))].sort()
