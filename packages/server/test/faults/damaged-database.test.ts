import { closeSync, openSync, readFileSync, statSync, writeSync } from "node:fs"
import { afterAll, describe, expect, it } from "vitest"
import { callsOf, json, sideBySide, submit } from "../client.ts"
import { countingTarget } from "../counting-target.ts"
import { removeLeftovers, runToEnd, Service } from "../process.ts"
import { stored } from "../stored.ts"

const TENANT = "acme"
const CALLS = 200
/** Tried after the damage was met. */
const SUBMISSIONS = 20
const CLIENTS = 8
const PAGE_BYTES = 4_096
const FAR = "2999-01-01T00:00:00Z"

afterAll(removeLeftovers)

describe("a database that is damaged while the service runs", () => {
  it("is written to no more, read as far as it goes, reported, and refused by the next start", async () => {
    await using target = countingTarget()
    await using service = await Service.start({ EGRESS_ALLOW: target.host })
    const call = { name: "a call", requestSpec: { method: "POST", url: target.url } } as const
    const ids: Array<string> = []
    await sideBySide(Array(CALLS).keys(), CLIENTS, async () => {
      ids.push((await submit(service, TENANT, { ...call, dueAt: FAR })).serviceCallId)
    })
    await service.kill("SIGTERM")
    expect(statSync(`${service.dbPath}-wal`, { throwIfNoEntry: false })?.size ?? 0).toBe(0)
    const harmful = harm(service.dbPath, "service_calls")
    await service.restart()
    harmful()

    // A change reads its call through the writer, which so meets the damage.
    const meetsDamage = async (): Promise<Response> => {
      for (const id of ids) {
        await service.fetch(`${callsOf(TENANT)}/${id}/tags`, { ...json({ tags: ["changed"] }), method: "PUT" })
        const ready = await service.fetch("/health/ready")
        if (ready.status !== 200) return ready
      }
      throw new Error("the writer has not met the damage")
    }
    const ready = await meetsDamage()
    expect({ status: ready.status, ...(await ready.json()) }).toMatchObject({
      status: 503,
      detail: expect.stringContaining("The database is damaged: the operator has to restore a backup")
    })
    expect((await service.fetch("/health/live")).status).toBe(200)
    expect(service.logs.some(({ message }) => String(message).includes("disk image is malformed"))).toBe(true)
    for (const _ of Array(SUBMISSIONS)) {
      const refused = await service.fetch(callsOf(TENANT), json(call))
      expect({ status: refused.status, ...(await refused.json()) }).toMatchObject({
        status: 503,
        detail: "The database is damaged: the operator has to restore a backup"
      })
    }
    const statuses = new Map<number, number>()
    for (const id of ids) {
      const { status } = await service.fetch(`${callsOf(TENANT)}/${id}`)
      statuses.set(status, (statuses.get(status) ?? 0) + 1)
    }
    expect([...statuses.keys()].sort()).toEqual([200, 503])
    expect(statuses.get(200)).toBeGreaterThan(CALLS / 2)
    expect(target.count).toBe(0)

    await service.kill("SIGKILL")
    const before = readFileSync(service.dbPath)
    const next = await runToEnd(service.folder)
    expect(next.exitCode).toBe(1)
    expect(next.stderr).toMatch(/it is damaged .*; restore a backup/)
    expect(next.stderr.trim().split("\n")).toHaveLength(1)
    expect(readFileSync(service.dbPath).equals(before)).toBe(true)
  })
})

/** Looks for the pages in the middle of a table. What it returns overwrites them. */
const harm = (dbPath: string, table: string) => {
  const pages = stored<{ readonly pageno: number }>(
    dbPath,
    "SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'leaf' ORDER BY path",
    table
  ).map(({ pageno }) => pageno)
  const middle = pages.slice(pages.length / 4, pages.length / 2)
  expect(middle.length).toBeGreaterThan(2)
  return () => {
    const file = openSync(dbPath, "r+")
    for (const page of middle)
      writeSync(file, new Uint8Array(PAGE_BYTES).fill(0xff), 0, PAGE_BYTES, (page - 1) * PAGE_BYTES)
    closeSync(file)
  }
}
