import { rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, describe, expect } from "vitest"
import { adminKeyOf, type MadeKey, makeKey, startKeyed, withKey } from "../access/keyed-service.ts"
import { callsOf, json, listAll, sideBySide, TERMINAL } from "../client.ts"
import { countingTarget } from "../counting-target.ts"
import { LiveReader } from "../live-reader.ts"
import { removeLeftovers, Service } from "../process.ts"
import { damageOf, stored } from "../stored.ts"
import { until } from "../until.ts"
import { itNeeds } from "./needs.ts"
import { removeSmallDisks, smallDisk, smallDiskMissing } from "./small-disk.ts"

const TENANT = "acme"
const DISK_MEGABYTES = 12
const FILLER_BYTES = 4_000_000
const URL = "https://example.com/"
const BODY = "x".repeat(10_000)
const CLIENTS = 8
/** Refusals after which the disk is full for all. */
const REFUSALS = 100
/** So long the service stays on the full disk, and what it may log in that time. */
const FULL_MS = 2_000
const WARNINGS_MAX = 30

afterAll(() => {
  removeLeftovers()
  removeSmallDisks()
})

describe("a service on a full disk", () => {
  itNeeds(
    smallDiskMissing(),
    "refuses with a reason, reads on, starts again, and goes on once there is room, with nothing lost or sent twice",
    async () => {
      using disk = smallDisk(DISK_MEGABYTES)
      const filler = join(disk.path, "filler")
      writeFileSync(filler, new Uint8Array(FILLER_BYTES))
      await using target = countingTarget()
      await using service = await Service.start({ EGRESS_ALLOW: target.host }, { folder: disk.path })
      const submission = { name: "a call", requestSpec: { method: "POST", url: target.url, body: BODY } } as const
      const acknowledged: Array<string> = []
      let refusals = 0
      await sideBySide(Array(CLIENTS).keys(), CLIENTS, async () => {
        while (refusals < REFUSALS) {
          const answer = await service.fetch(callsOf(TENANT), json(submission))
          const body = await answer.json()
          if (answer.status === 202) {
            acknowledged.push(body.serviceCallId)
          } else {
            refusals++
            expectDiskFull(answer, body)
          }
        }
      })
      const [first = ""] = acknowledged

      let changes = 0
      const expectReadable = async () => {
        expect((await listAll(service, TENANT)).map((one) => one.serviceCallId).sort()).toEqual(acknowledged.toSorted())
        expect((await service.fetch(`${callsOf(TENANT)}/${first}`)).status).toBe(200)
        expect((await service.fetch("/health/live")).status).toBe(200)
        await until("the service says that it is not ready", async () => {
          const ready = await service.fetch("/health/ready")
          return (
            ready.status === 503 &&
            (await ready.json()).detail.includes("refuses to write, reading goes on. The disk is full")
          )
        })
        // Small changes may find room where a submission does not. Only what is new is written at all.
        await until("a change is refused, too", async () => {
          const change = { ...json({ tags: [`changed ${changes++}`] }), method: "PUT" }
          const answer = await service.fetch(`${callsOf(TENANT)}/${first}/tags`, change)
          if (answer.status === 503) expectDiskFull(answer, await answer.json())
          return answer.status === 503
        })
      }
      await expectReadable()
      await until("the metrics tell", async () => {
        const changed = { ...json({ tags: [`changed ${changes++}`] }), method: "PUT" }
        await service.fetch(`${callsOf(TENANT)}/${first}/tags`, changed)
        return (await (await service.fetch("/metrics")).text()).includes("\nesa_storage_refusing 1\n")
      })
      const fullSince = performance.now()
      await until("it has been full for a while", () => performance.now() - fullSince > FULL_MS)
      expect(service.logs.filter(({ level }) => level === "WARN").length).toBeLessThan(WARNINGS_MAX)
      await service.kill("SIGKILL")
      await service.restart()
      await expectReadable()

      rmSync(filler)
      const taken = await until("submissions are taken again", async () => {
        const answer = await service.fetch(callsOf(TENANT), json(submission))
        return answer.status === 202 && answer
      })
      acknowledged.push((await taken.json()).serviceCallId)
      const calls = await until("all calls have ended", async () => {
        const listed = await listAll(service, TENANT)
        return listed.every(({ status }) => TERMINAL.has(status)) && listed
      })
      expect((await service.fetch("/health/ready")).status).toBe(200)
      expect(calls.map((one) => one.serviceCallId).sort()).toEqual(acknowledged.sort())
      for (const { serviceCallId, status, failure } of calls) {
        const requests = target.byKey.get(serviceCallId)?.length ?? 0
        expect(requests).toBeLessThanOrEqual(1)
        if (status === "Succeeded") expect(requests).toBe(1)
        else expect(failure).toMatchObject({ kind: "OutcomeUnknown", sent: "maybe" })
      }
      expect((await service.kill("SIGTERM")).exitCode).toBe(0)
      const ends = "SELECT count(*) AS ends FROM outbox WHERE type IN ('ServiceCallSucceeded', 'ServiceCallFailed')"
      expect(stored(service.dbPath, ends)).toEqual([{ ends: acknowledged.length }])
      expect(damageOf(service.dbPath)).toEqual([])
    }
  )
})

describe("a key", () => {
  itNeeds(
    smallDiskMissing(),
    "opens nothing from its revocation on, also where that cannot be stored yet",
    async () => {
      using disk = smallDisk(DISK_MEGABYTES)
      await using service = await startKeyed({}, { folder: disk.path })
      const admin = withKey(adminKeyOf(service))
      const keys: Array<MadeKey> = []
      for (let n = 0; n < 16; n++) {
        keys.push(await makeKey(service, { tenantId: TENANT, scopes: ["submit", "read"], label: `key ${n}` }))
      }
      const submission = { name: "a call", dueAt: "2999-01-01T00:00:00Z", requestSpec: { method: "GET", url: URL } }
      for (let refusals = 0; refusals < REFUSALS; ) {
        const answer = await service.fetch(callsOf(TENANT), json({ ...submission, name: BODY.slice(0, 200) }, admin))
        if (answer.status === 503) refusals++
      }
      // Small changes may find room for a while.
      for (const { key, keyId } of keys) {
        await using stream = await LiveReader.open(service, TENANT, withKey(key))
        const { status } = await service.fetch(`/api/admin/keys/${keyId}`, { method: "DELETE", headers: admin })
        expect((await service.fetch(callsOf(TENANT), { headers: withKey(key) })).status).toBe(401)
        if (status === 503) {
          await until("its stream ends", () => stream.hasEnded)
          return
        }
        expect(status).toBe(204)
      }
      throw new Error("there was room for everything")
    }
  )
})

const expectDiskFull = (answer: Response, problem: unknown): void => {
  expect(answer.status).toBe(503)
  expect(Number(answer.headers.get("retry-after"))).toBeGreaterThan(0)
  expect(problem).toMatchObject({
    type: "urn:event-service-agent:problem:storage-unavailable",
    detail: expect.stringContaining("The disk is full: nothing was stored")
  })
}
