import { readFileSync } from "node:fs"
import { join } from "node:path"
import { plantDeadLetters } from "@event-service-agent/server/testing/dead-letters"
import { missingNats, NatsServer } from "@event-service-agent/server/testing/nats-server"
import { itNeeds } from "@event-service-agent/server/testing/needs"
import { Service } from "@event-service-agent/server/testing/process"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { documentsOf } from "./esa.ts"
import { makeWorld, type World } from "./world.ts"

let world: World
beforeAll(async () => {
  world = await makeWorld()
})
afterAll(() => world[Symbol.asyncDispose]())

describe("esa cancel", () => {
  it("cancels what waits, also twice, and is a conflict for what has ended", async () => {
    const { target, esa, done, call, callToEnd, detail } = world
    const id = await call("GET", target.url, "--in", "1h")
    expect((await done(["cancel", id, "--reason", "wrong customer"])).stdout).toBe("Cancelled\n")
    expect((await done(["cancel", id])).stdout).toBe("Cancelled\n")
    expect(await detail(id)).toMatchObject({ outcome: { type: "Cancelled", reason: "wrong customer" } })
    const ended = (await callToEnd("GET", target.url)).serviceCallId
    const late = await esa(["cancel", ended])
    expect(late).toMatchObject({ exitCode: 4, stdout: "" })
    expect(late.stderr).toContain("status: Succeeded")
    expect((await esa(["cancel", crypto.randomUUID()])).exitCode).toBe(3)
  })
})

describe("esa resend", () => {
  it("repeats a call whose request is kept, and is a conflict for others", async () => {
    const { target, esa, done, callToEnd, detail } = world
    const kept = JSON.parse(
      (await done(["call", "POST", `${target.url}/again`, "-d", "body", "--keep-request", "--wait", "--json"])).stdout
    ).serviceCallId
    const again = JSON.parse((await done(["resend", kept, "--wait", "--json"])).stdout)
    expect(again).toMatchObject({ status: "Succeeded", clonedFrom: kept })
    expect(target.byKey.get(again.serviceCallId)).toMatchObject([{ path: "/again", body: "body" }])
    const later = (await done(["resend", kept, "--at", "2099-01-01 09:00"])).stdout.trim()
    expect(await detail(later)).toMatchObject({ status: "Scheduled", dueAt: "2099-01-01T09:00:00.000Z" })
    const gone = (await callToEnd("GET", target.url)).serviceCallId
    expect((await esa(["resend", gone])).exitCode).toBe(4)
  })
})

describe("esa tag", () => {
  it("adds and takes away, and leaves the others", async () => {
    const { target, esa, done, call, detail } = world
    const id = await call("GET", target.url, "--in", "1h", "--tag", "old", "--tag", "stays")
    expect((await done(["tag", id, "+starred", "-old", "+starred"])).stdout).toBe("stays, starred\n")
    expect((await done(["tag", id, "--", "-stays"])).stdout).toBe("starred\n")
    expect((await detail(id)).tags).toEqual(["starred"])
    expect((await esa(["tag", id, "starred"])).exitCode).toBe(2)
    expect((await esa(["tag", id])).exitCode).toBe(2)
  })
})

describe("esa doctor", () => {
  it("finds nothing wrong with a service that works, nor with its files", async () => {
    const { target, service, done } = world
    const ran = await done(["doctor", "--target", target.url, "--db", service.dbPath, "--json"])
    const checks = documentsOf(ran)
    expect(checks.filter(({ result }) => result !== "ok")).toEqual([])
    const names = checks.map(({ check }) => check)
    for (const name of [
      "service",
      "clock",
      "ready",
      "bus",
      "version",
      "access",
      "egress",
      "integrity",
      "schema",
      "disk"
    ]) {
      expect(names).toContain(name)
    }
  })

  it("says what the guard says of an address, and makes no call of it", async () => {
    const { target, esa, done } = world
    const ran = await esa(["doctor", "--target", "http://10.0.0.7/hook"])
    expect(ran.exitCode).toBe(1)
    expect(ran.stdout).toMatch(/fail +egress +.*EGRESS_ALLOW/)
    await done(["doctor", "--target", `${target.url}/asked`, "--tenant", "asks"])
    expect((await done(["list", "--json", "--tenant", "asks"])).stdout).toBe("")
    const paths = [...target.byKey.values()].flat().map(({ path }) => path)
    expect(paths.length).toBeGreaterThan(0)
    expect(paths).not.toContain("/asked")
  })
})

describe("esa dead-letters", () => {
  it("lists them, and replays or discards each", async () => {
    const { target, esa, done } = world
    await using other = await Service.start({ EGRESS_ALLOW: target.host })
    const env = { ESA_URL: other.url }
    expect((await done(["dead-letters", "list"], { env })).stderr).toBe("there are no dead letters\n")
    await done(["call", "GET", target.url, "--wait"], { env })
    await done(["call", "GET", target.url, "--wait"], { env })
    const letters = await plantDeadLetters(other, 2)
    const at = { env: { ESA_URL: other.url } }
    const listed = documentsOf(await done(["dead-letters", "list", "--json"], at))
    expect(listed.map(({ consumer, seq }) => ({ consumer, seq }))).toEqual(
      letters.map(({ consumer, seq }) => ({ consumer, seq }))
    )
    expect((await done(["dead-letters", "list"], at)).stdout).toContain("poison of demo")
    expect((await done(["doctor"], at)).stdout).toMatch(/warn +dead letters +2/)
    const [first, second] = letters.map(({ seq }) => String(seq))
    await done(["dead-letters", "replay", "orchestration", first ?? ""], at)
    await done(["dead-letters", "discard", "orchestration", second ?? ""], at)
    expect((await done(["dead-letters", "list"], at)).stdout).toBe("")
    expect((await esa(["dead-letters", "replay", "orchestration", first ?? ""], at)).exitCode).toBe(3)
    expect((await esa(["dead-letters", "replay", "nobody", "1"], at)).exitCode).toBe(2)
  })
})

describe("esa republish", () => {
  it("is a conflict without a broker", async () => {
    const { esa } = world
    const ran = await esa(["republish", "--since", "2h"])
    expect(ran.exitCode).toBe(4)
    expect(ran.stderr).toContain("NATS_URL")
  })

  itNeeds(missingNats, "says how many events go out again", async () => {
    const { target, done } = world
    await using nats = await NatsServer.start()
    await using other = await Service.start({ NATS_URL: nats.url, EGRESS_ALLOW: target.host })
    const env = { ESA_URL: other.url }
    await done(["call", "GET", target.url, "--wait"], { env })
    expect((await done(["republish", "--since", "1h"], { env })).stdout).toMatch(
      /^[1-9]\d* events go out again, in the background\n$/
    )
    const none = await done(["republish", "--since", "in 1h", "--json"], { env })
    expect(JSON.parse(none.stdout)).toEqual({ events: 0 })
  })
})

describe("esa completions", () => {
  it("prints a script for each shell that knows the commands and their flags", async () => {
    const { done } = world
    for (const shell of ["bash", "zsh", "fish"]) {
      const { stdout } = await done(["completions", shell])
      for (const word of ["dead-letters", "republish", "idempotency-key", "completions"]) expect(stdout).toContain(word)
    }
    const bash = await done(["completions", "bash"])
    const checked = Bun.spawnSync(["bash", "-n"], { stdin: new TextEncoder().encode(bash.stdout) })
    expect(checked.exitCode).toBe(0)
  })
})

describe("esa keys", () => {
  it("makes keys that allow what they say, until they are revoked", async () => {
    const { target, esa, done } = world
    await using keyed = await Service.start({ EGRESS_ALLOW: target.host, AUTH: "on" })
    const as = (key: string) => ({ env: { ESA_URL: keyed.url, ESA_API_KEY: key } })
    const admin = as(readFileSync(join(keyed.folder, "admin.key"), "utf8").trim())
    expect((await esa(["list"], as(""))).exitCode).toBe(77)
    const create = ["keys", "create", "--tenant", "acme", "--label", "a reader"]
    const made = await done([...create, "--scope", "read", "--expires", "90d"], admin)
    const reader = as(made.stdout.trim())
    expect(made.stderr).toContain("acme: read, until ")
    expect((await esa(["list", "--tenant", "acme"], reader)).exitCode).toBe(0)
    expect((await esa(["call", "GET", target.url, "--tenant", "acme"], reader)).exitCode).toBe(77)
    const other = await esa(["list", "--tenant", "other"], reader)
    expect(other.exitCode).toBe(3)
    expect(other.stderr).toContain("the key is for tenant acme, not for other")
    expect((await done(["doctor", "--tenant", "acme"], reader)).stdout).toMatch(/ok +access +read for tenant acme/)
    const writer = JSON.parse((await done([...create, "--scope", "read,submit", "--json"], admin)).stdout)
    expect(writer).toMatchObject({ tenantId: "acme", scopes: ["read", "submit"], expiresAt: null })
    const repeated = ["--scope", "submit", "--scope", "read,submit", "--json", "--label", "two flags"]
    const two = await done(["keys", "create", "--tenant", "acme", ...repeated], admin)
    expect(JSON.parse(two.stdout)).toMatchObject({ scopes: ["read", "submit"] })
    await done(["keys", "revoke", JSON.parse(two.stdout).keyId], admin)
    // Nobody names the tenant: it is the key's.
    const called = await done(["call", "GET", target.url, "--wait", "--json"], as(writer.key))
    const { serviceCallId } = JSON.parse(called.stdout)
    expect((await done(["show", serviceCallId, "--tenant", "acme"], reader)).stdout).toContain(serviceCallId)
    expect((await done(["list"], reader)).stdout).toContain(serviceCallId)
    expect((await done(["list"], admin)).stderr).toContain("there are no calls yet")

    const listed = documentsOf(await done(["keys", "list", "--tenant", "acme", "--json"], admin))
    expect(listed.map(({ keyId }) => keyId)).toContain(writer.keyId)
    expect(listed).toHaveLength(3)
    expect(documentsOf(await done(["keys", "list", "--json"], admin)).length).toBeGreaterThan(2)
    await done(["keys", "revoke", writer.keyId], admin)
    expect((await esa(["list", "--tenant", "acme"], as(writer.key))).exitCode).toBe(77)
    const lines = (await done(["keys", "list"], admin)).stdout.split("\n")
    expect(lines.find((line) => line.startsWith(writer.keyId))).toContain("revoked")
    expect(lines.join()).not.toContain(writer.key)
    expect((await esa(["keys", "revoke", "0123456789ab"], admin)).exitCode).toBe(3)
    expect((await esa([...create, "--scope", "everything"], admin)).exitCode).toBe(2)
    expect((await esa([...create, "--scope", "read"], reader)).exitCode).toBe(77)
  })
})
