import { Database } from "bun:sqlite"
import { copyFileSync, existsSync, readdirSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import {
  callsOf,
  type Detail,
  detailOf,
  json,
  listAll,
  sideBySide,
  TERMINAL
} from "@event-service-agent/server/testing/client"
import { countingTarget } from "@event-service-agent/server/testing/counting-target"
import { itNeeds } from "@event-service-agent/server/testing/needs"
import { removeLeftovers, Service, temporaryFolder } from "@event-service-agent/server/testing/process"
import { removeSmallDisks, smallDisk, smallDiskMissing } from "@event-service-agent/server/testing/small-disk"
import { damageOf, rowCounts } from "@event-service-agent/server/testing/stored"
import { until } from "@event-service-agent/server/testing/until"
import { afterAll, describe, expect, it } from "vitest"
import { bytesFor } from "../src/back-up.ts"
import { usedBytesOf } from "../src/database.ts"
import { runEsa } from "./esa.ts"

const TENANT = "demo"
/** Due in a while, so that they wait when the backup is made. */
const WAITING = 20
const WAITING_MS = 10_000
/** Stored before, so that the backup takes a while. */
const BALLAST = 2_500
const BALLAST_BYTES = 4_000
const CLIENTS = 8
const DUE = 200
/** However busy the machine is: what is due meanwhile is not held up until the backup is through. */
const LATENESS_RATIO_MAX = 8
const LATENESS_MS_FLOOR = 50
const TRIES_MAX = 6
const MEBIBYTE = 1_048_576
/** What a backup leaves free, in MiB; a new database is smaller than one. */
const SPARE = 64

afterAll(() => {
  removeLeftovers()
  removeSmallDisks()
})

const call = (url: string, more: object = {}) => ({ name: "call", requestSpec: { method: "GET", url }, ...more })

const submitted = async (service: Service, body: unknown): Promise<string> => {
  const response = await service.fetch(callsOf(TENANT), json(body))
  if (response.status !== 202) throw new Error(`${response.status}: ${await response.text()}`)
  const { serviceCallId }: { readonly serviceCallId: string } = await response.json()
  return serviceCallId
}

/** The secret key and the copy, in a new folder under the names that the service looks for. */
const restore = (copy: string, from: Service, folder: string): void => {
  copyFileSync(copy, join(folder, "service.db"))
  copyFileSync(join(from.folder, "secret.key"), join(folder, "secret.key"))
}

describe("esa backup", () => {
  it("gives, under load, a copy from which everything that was acknowledged before goes on, and nothing that had ended runs again", async () => {
    await using target = countingTarget()
    using folder = temporaryFolder()
    using elsewhere = temporaryFolder()
    const env = { EGRESS_ALLOW: target.host }
    const copy = join(folder.path, "calls.db")
    const before: Array<string> = []
    let ended: ReadonlyArray<string> = []
    {
      await using service = await Service.start(env)
      let isLoaded = true
      const load = Promise.all(
        Array.from({ length: CLIENTS }, async () => {
          while (isLoaded) {
            const id = await submitted(service, call(target.url))
            if (isLoaded) before.push(id)
          }
        })
      )
      await until("many have ended", () => target.count > 300, 30_000)
      const dueAt = new Date(Date.now() + WAITING_MS).toISOString()
      const waiting = Array.from({ length: WAITING }, () => submitted(service, call(target.url, { dueAt })))
      const waits = await Promise.all(waiting)
      // What was told before the backup began: the others may or may not be in it.
      const acknowledged = [...waits, ...before]
      ended = (await listAll(service, TENANT, "&status=Succeeded")).map(({ serviceCallId }) => serviceCallId)
      const made = await runEsa(["backup", copy, "--db", service.dbPath])
      isLoaded = false
      await load
      expect(made).toMatchObject({ exitCode: 0 })
      expect(made.stdout).toMatch(/calls\.db: [\d.]+ MiB in .*, schema version \d+, checked/)
      expect(made.stderr).toMatch(/^\d+ calls were sent meanwhile, the latest one .+ late, half of them at most .+\n/)
      expect(made.stderr).toContain(join(service.folder, "secret.key"))
      before.splice(0, before.length, ...acknowledged)
      await service.kill("SIGKILL")
      restore(copy, service, elsewhere.path)
    }
    expect(ended.length).toBeGreaterThan(100)
    expect([statSync(copy).mode & 0o777, readdirSync(folder.path)]).toEqual([0o600, ["calls.db"]])
    expect(damageOf(copy)).toEqual([])

    const counts = new Map(ended.map((id) => [id, target.byKey.get(id)?.length]))
    await using restored = await Service.start(env, { folder: elsewhere.path })
    const details: Array<Detail> = []
    await sideBySide(before, CLIENTS, async (id) => {
      const detail = await until("it has ended", async () => {
        const found = await detailOf(restored, TENANT, id)
        return TERMINAL.has(found.status) && found
      })
      details.push(detail)
    })
    expect(details).toHaveLength(before.length)
    // Those in flight at that moment are the only ones of which nobody knows.
    const unknown = details.filter(({ failure }) => failure?.kind === "OutcomeUnknown")
    expect(details.filter(({ status }) => status !== "Succeeded")).toEqual(unknown)
    expect(unknown.length).toBeLessThan(details.length / 4)
    for (const id of before.slice(0, WAITING)) expect(target.byKey.get(id)).toHaveLength(1)
    expect([...counts].filter(([id, count]) => target.byKey.get(id)?.length !== count)).toEqual([])
    expect([...counts.values()].every((count) => count === 1)).toBe(true)
  })

  it("does not hold up calls that are due meanwhile", async () => {
    await using target = countingTarget()
    using folder = temporaryFolder()
    await using service = await Service.start({ EGRESS_ALLOW: target.host })
    const body = "x".repeat(BALLAST_BYTES)
    const ballast = {
      name: "b",
      dueAt: "2099-01-01T00:00:00Z",
      requestSpec: { method: "POST", url: target.url, body }
    }
    await sideBySide(Array(BALLAST).keys(), 32, async () => void (await submitted(service, ballast)))
    const latenesses = async (meanwhile: () => Promise<unknown>): Promise<number> => {
      const start = Date.now() + 1_000
      const ids = await Promise.all(
        Array.from({ length: DUE }, (_, index) =>
          submitted(service, call(target.url, { dueAt: new Date(start + index * 10).toISOString() }))
        )
      )
      await until("the first is due", () => Date.now() >= start)
      // Nobody asks the service meanwhile: that would cost more than a backup.
      const arrived = until("all have arrived", () => ids.every((id) => target.byKey.has(id)), 40_000)
      await Promise.all([arrived, meanwhile()])
      const found = await Promise.all(
        ids.map((id) =>
          until("it has ended", async () => {
            const { status, latenessMs } = await detailOf(service, TENANT, id)
            return TERMINAL.has(status) ? (latenessMs ?? Number.NaN) : undefined
          })
        )
      )
      return found.toSorted((one, other) => one - other)[Math.floor(DUE * 0.99)] ?? Number.NaN
    }
    let backups = 0
    const compare = async () => {
      const alone = await latenesses(async () => {})
      let sent = 0
      const under = await latenesses(async () => {
        const endAt = Date.now() + DUE * 10
        while (Date.now() < endAt) {
          const ran = await runEsa(["backup", join(folder.path, `${backups++}.db`), "--db", service.dbPath, "--json"])
          expect(ran).toMatchObject({ exitCode: 0 })
          sent += JSON.parse(ran.stdout).sentMeanwhile.calls
        }
      })
      // Backups run one after the other, and see each send once at most.
      const isSeen = sent > 0 && sent <= DUE
      return { alone, under, sent, isInTime: isSeen && under < Math.max(alone, LATENESS_MS_FLOOR) * LATENESS_RATIO_MAX }
    }
    // What other programs do may delay the calls of one try. What a backup does would delay those of each.
    const tries = [await compare()]
    while (!tries.some(({ isInTime }) => isInTime) && tries.length < TRIES_MAX) tries.push(await compare())
    expect(tries.at(-1)).toMatchObject({ isInTime: true })
  })

  it("leaves a file that is there alone, and makes none of what is no database of the service", async () => {
    using folder = temporaryFolder()
    await using service = await Service.start()
    const there = join(folder.path, "there.db")
    writeFileSync(there, "mine")
    expect((await runEsa(["backup", there, "--db", service.dbPath])).exitCode).toBe(4)
    expect(await Bun.file(there).text()).toBe("mine")
    const copy = join(folder.path, "copy.db")
    expect((await runEsa(["backup", copy, "--db", join(folder.path, "missing.db")])).exitCode).toBe(3)
    const foreign = await runEsa(["backup", copy, "--db", there])
    expect(foreign).toMatchObject({ exitCode: 1, stdout: "" })
    expect((await runEsa(["backup", join(folder.path, "no/such/folder.db"), "--db", service.dbPath])).exitCode).toBe(1)
    expect(readdirSync(folder.path)).toEqual(["there.db"])
    expect(existsSync(copy)).toBe(false)
  })

  itNeeds(smallDiskMissing(), "leaves free what the service needs, or is not made", async () => {
    await using service = await Service.start()
    const onDisk = async (megabytes: number) => {
      using disk = smallDisk(megabytes)
      const ran = await runEsa(["backup", join(disk.path, "copy.db"), "--db", service.dbPath, "--json"])
      return { path: disk.path, left: readdirSync(disk.path), ...ran }
    }
    const refused = await onDisk(SPARE)
    expect(refused).toMatchObject({ exitCode: 1, stdout: "", left: [] })
    const { message } = JSON.parse(refused.stderr)
    expect(message).toContain(`${refused.path} has ${SPARE} MiB free; 64.`)
    expect(message).toMatch(/are needed, 0\.\d MiB for the copy and the rest to stay free\. Make room there/)
    expect(await onDisk(SPARE + 1)).toMatchObject({ exitCode: 0, left: ["copy.db"] })
    // One without an end, which tells of no space at all.
    expect(await onDisk(0)).toMatchObject({ exitCode: 0, left: ["copy.db"] })
  })

  it("needs no space for what was deleted, but for what is only in the write-ahead log", () => {
    using folder = temporaryFolder()
    using database = new Database(join(folder.path, "any.db"))
    database.run("PRAGMA journal_mode = WAL; CREATE TABLE t (x); INSERT INTO t VALUES (zeroblob(8 * 1048576))")
    expect(usedBytesOf(database)).toBeGreaterThan(8 * MEBIBYTE)
    expect(usedBytesOf(database)).toBeLessThan(9 * MEBIBYTE)
    database.run("DELETE FROM t; PRAGMA wal_checkpoint(TRUNCATE)")
    expect(statSync(join(folder.path, "any.db")).size).toBeGreaterThan(8 * MEBIBYTE)
    expect(usedBytesOf(database)).toBeLessThan(MEBIBYTE)
  })

  it("leaves a tenth of its size free when it is large", () => {
    expect(bytesFor(MEBIBYTE)).toBe((1 + SPARE) * MEBIBYTE)
    expect(bytesFor(SPARE * 10 * MEBIBYTE)).toBe(SPARE * 11 * MEBIBYTE)
    expect(bytesFor(10_000 * MEBIBYTE)).toBe(11_000 * MEBIBYTE)
  })

  it("does not become visible under its name before it is complete, and can be made while the service is away", async () => {
    using folder = temporaryFolder()
    const service = await Service.start()
    await service.kill("SIGKILL")
    const made = await runEsa(["backup", "copy.db", "--json"], { cwd: folder.path, env: { DB_PATH: service.dbPath } })
    expect(JSON.parse(made.stdout)).toMatchObject({
      file: "copy.db",
      bytes: statSync(join(folder.path, "copy.db")).size,
      sentMeanwhile: { calls: 0, latenessMs: { median: 0, max: 0 } }
    })
    expect(rowCounts(join(folder.path, "copy.db"))).toEqual(rowCounts(service.dbPath))
    await service[Symbol.asyncDispose]()
  })
})
