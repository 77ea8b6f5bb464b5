import { readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, describe, expect, it } from "vitest"
import { callsOf, json, type Submission } from "../client.ts"
import { countingTarget } from "../counting-target.ts"
import { LiveReader } from "../live-reader.ts"
import { removeLeftovers, runToEnd, Service, temporaryFolder } from "../process.ts"
import { until } from "../until.ts"
import {
  adminKeyFileOf,
  adminKeyOf,
  type ListedKey,
  type MadeKey,
  makeKey,
  revokeKey,
  startKeyed,
  withKey
} from "./keyed-service.ts"

const TENANT = "acme"
const LATER: Submission = {
  name: "later",
  dueAt: "2999-01-01T00:00:00Z",
  requestSpec: { method: "GET", url: "https://example.com/" }
}
const whoIs = (service: Service, key?: string) =>
  service.fetch("/api/whoami", key === undefined ? {} : { headers: withKey(key) })

afterAll(removeLeftovers)

describe("the first start that asks for keys", () => {
  it("writes one that may do everything into a file, once, and shows it nowhere", async () => {
    await using service = await startKeyed()
    const file = adminKeyFileOf(service)
    const key = adminKeyOf(service)
    expect(statSync(file).mode & 0o777).toBe(0o600)
    expect(await (await whoIs(service, key)).json()).toEqual({
      auth: "on",
      keyId: expect.stringMatching(/^[0-9A-Za-z]{12}$/),
      tenantId: "*",
      scopes: ["read", "submit", "admin"]
    })
    expect((await whoIs(service)).status).toBe(401)
    expect(service.logs.find(({ annotations }) => annotations["file"] === file)?.message).toContain("made an admin key")
    expect(service.readyLine?.annotations["access"]).toBe("keys")

    const ended = await service.kill("SIGTERM")
    expect(ended.stdout + ended.stderr).not.toContain(key.slice(-43))
    await service.restart()
    expect(adminKeyOf(service)).toBe(key)
    expect((await whoIs(service, key)).status).toBe(200)

    // Who has the key may put the file away; who revokes it gets another one.
    rmSync(file)
    await service.kill("SIGTERM")
    await service.restart()
    expect(() => statSync(file)).toThrow()
    await revokeKey(service, key.split("_")[1] ?? "", key)
    expect((await whoIs(service, key)).status).toBe(401)
    await service.kill("SIGTERM")
    await service.restart()
    expect(adminKeyOf(service)).not.toBe(key)
    expect((await whoIs(service, adminKeyOf(service))).status).toBe(200)
    expect((await whoIs(service, key)).status).toBe(401)
  })

  it("leaves a file alone that holds something else", async () => {
    using folder = temporaryFolder()
    const file = join(folder.path, "precious")
    writeFileSync(file, "something else\n")
    const ended = await runToEnd(folder.path, { AUTH: "on", ADMIN_KEY_FILE: file })
    expect(ended.exitCode).not.toBe(0)
    expect(ended.stderr).toContain(`cannot write the admin key to ${file}: it holds something else`)
    expect(readFileSync(file, "utf8")).toBe("something else\n")
  })
})

describe("whether keys are asked for", () => {
  it("depends on who can reach the service, unless it is said", async () => {
    await using forMe = await Service.start()
    expect(await (await whoIs(forMe)).json()).toEqual({
      auth: "off",
      keyId: null,
      tenantId: "*",
      scopes: ["read", "submit", "admin"]
    })
    expect(() => statSync(adminKeyFileOf(forMe))).toThrow()
    await using forOthers = await Service.start({ HOST: "0.0.0.0" })
    expect((await whoIs(forOthers)).status).toBe(401)
    expect((await forOthers.fetch("/health/ready")).status).toBe(200)
    expect(forOthers.logs.filter(({ level }) => level === "WARN")).toEqual([])
  })
})

describe("keys", () => {
  it("are changed without a refused request: a second one, all programs, then the first one goes", async () => {
    await using service = await startKeyed()
    const first = await makeKey(service, { tenantId: TENANT, scopes: ["submit"], label: "billing" })
    let current = first.key
    let isOver = false
    const answers: Array<number> = []
    const program = async () => {
      while (!isOver) answers.push((await service.fetch(callsOf(TENANT), json(LATER, withKey(current)))).status)
    }
    const programs = [program(), program(), program()]
    await until("some were accepted", () => answers.length > 20)
    const second = await makeKey(service, { tenantId: TENANT, scopes: ["submit"], label: "billing" })
    current = second.key
    const before = answers.length
    await until("all programs have the second key", () => answers.length > before + 20)
    await revokeKey(service, first.keyId)
    expect((await service.fetch(callsOf(TENANT), json(LATER, withKey(first.key)))).status).toBe(401)
    const after = answers.length
    await until("it goes on", () => answers.length > after + 20)
    isOver = true
    await Promise.all(programs)
    expect(new Set(answers)).toEqual(new Set([202]))

    const list = async (): Promise<ReadonlyArray<ListedKey>> => {
      const listed = await service.fetch(`/api/admin/keys?tenant=${TENANT}`, { headers: withKey(adminKeyOf(service)) })
      return (await listed.json()).items
    }
    const items = await list()
    expect(items.map(({ keyId, label, revokedAt }) => [keyId, label, revokedAt !== null])).toEqual([
      [second.keyId, "billing", false],
      [first.keyId, "billing", true]
    ])
    const [used] = items
    expect(Date.now() - Date.parse(used?.lastUsedAt ?? "")).toBeLessThan(60_000)
    await service.kill("SIGKILL")
    await service.restart()
    expect((await list()).map(({ lastUsedAt }) => lastUsedAt)).toEqual([null, null])
    expect((await whoIs(service, first.key)).status).toBe(401)
    expect((await whoIs(service, second.key)).status).toBe(200)
    // What opens nothing is not used.
    expect((await list()).map(({ lastUsedAt }) => lastUsedAt !== null)).toEqual([true, false])
  })

  it("are refused with all that is wrong with them, and when there are too many", async () => {
    await using service = await startKeyed()
    const make = (body: unknown) => service.fetch("/api/admin/keys", json(body, withKey(adminKeyOf(service))))
    const wrong = [
      [{ tenantId: "a b", scopes: ["read"] }, ["#/tenantId"]],
      [{ tenantId: TENANT, scopes: [] }, ["#/scopes"]],
      [{ tenantId: TENANT, scopes: ["read", "read"] }, ["#/scopes"]],
      [{ tenantId: TENANT, scopes: ["write"] }, ["#/scopes/0"]],
      [{ tenantId: TENANT, scopes: ["admin"], expiresAt: "2020-01-01T00:00:00Z" }, ["#/scopes", "#/expiresAt"]],
      [{ tenantId: TENANT, scopes: ["read"], label: "x".repeat(201), secret: "x" }, ["#/label", "#/secret"]],
      [{}, ["#/tenantId", "#/scopes"]]
    ] as const
    for (const [body, pointers] of wrong) {
      const response = await make(body)
      const { errors }: { readonly errors: ReadonlyArray<{ readonly pointer: string }> } = await response.json()
      expect(response.status).toBe(422)
      expect(errors.map(({ pointer }) => pointer).sort()).toEqual([...pointers].sort())
    }
    const makeMany = async (count: number, labelOf: (number: number) => string | null) => {
      const answers = await Promise.all(
        Array.from({ length: count }, (_, number) =>
          make({ tenantId: TENANT, scopes: ["read"], expiresAt: null, label: labelOf(number) })
        )
      )
      const made: ReadonlyArray<MadeKey> = await Promise.all(
        answers.filter(({ status }) => status === 201).map((answer) => answer.json())
      )
      const refused: ReadonlyArray<{ readonly type: string; readonly detail: string }> = await Promise.all(
        answers.filter(({ status }) => status === 409).map((answer) => answer.json())
      )
      expect(made.length + refused.length).toBe(count)
      expect(answers.filter(({ status }) => status === 201).map(({ headers }) => headers.get("cache-control"))).toEqual(
        made.map(() => "no-store")
      )
      return { made, refused }
    }
    const unlabelled = await makeMany(5, () => null)
    const ofOne = await makeMany(5, () => 'say "ci"')
    for (const { made, refused } of [unlabelled, ofOne]) {
      expect([made.length, refused.length]).toEqual([2, 3])
      for (const { type, detail } of refused) {
        expect(type).toBe("urn:event-service-agent:problem:too-many-keys")
        for (const { keyId } of made) expect(detail).toContain(keyId)
      }
    }
    expect(unlabelled.refused[0]?.detail).toContain("Of the tenant acme 2 keys without a label are live")
    expect(ofOne.refused[0]?.detail).toContain('Of the tenant acme 2 keys with the label "say \\"ci\\"" are live')
    const others = await makeMany(30, (number) => `program ${number}`)
    expect(others.made).toHaveLength(16)
    const [oldest] = [...unlabelled.made].sort((a, b) => (a.createdAt + a.keyId < b.createdAt + b.keyId ? -1 : 1))
    for (const { detail } of others.refused) {
      expect(detail).toContain("Of the tenant acme 20 keys are live, and 20 may be: revoke")
      expect(detail).toContain(oldest?.keyId ?? "nobody")
    }
    // To revoke the one that was named is all that there is to do.
    await revokeKey(service, oldest?.keyId ?? "")
    expect((await make({ tenantId: TENANT, scopes: ["read"] })).status).toBe(201)
    const unknown = { method: "DELETE", headers: withKey(adminKeyOf(service)) }
    expect((await service.fetch("/api/admin/keys/000000000000", unknown)).status).toBe(404)
  })

  it("close the streams that they opened, when they are revoked or expire, and no others", async () => {
    await using service = await startKeyed()
    const lasting = await makeKey(service, { tenantId: TENANT, scopes: ["read"], label: "lasting" })
    const revoked = await makeKey(service, { tenantId: TENANT, scopes: ["read"], label: "revoked" })
    const expiresAt = new Date(Date.now() + 8_000).toISOString()
    const expiring = await makeKey(service, { tenantId: TENANT, scopes: ["read"], label: "expiring", expiresAt })
    await using goesOn = await LiveReader.open(service, TENANT, withKey(lasting.key))
    await using isRevoked = await LiveReader.open(service, TENANT, withKey(revoked.key))
    await using expires = await LiveReader.open(service, TENANT, withKey(expiring.key))
    await revokeKey(service, revoked.keyId)
    await until("the stream of the revoked key ends", () => isRevoked.hasEnded)
    await until("the stream of the expired key ends", () => expires.hasEnded)
    expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(expiresAt))
    for (const key of [revoked, expiring]) {
      expect((await service.fetch(`${callsOf(TENANT)}/events`, { headers: withKey(key.key) })).status).toBe(401)
    }
    const submit = await makeKey(service, { tenantId: TENANT, scopes: ["submit"] })
    await service.fetch(callsOf(TENANT), json(LATER, withKey(submit.key)))
    await until("the other stream goes on", () => goesOn.ofCalls.length > 0)
  })

  it("that may only submit can wait for the outcome, and look at nothing else", async () => {
    await using target = countingTarget()
    await using service = await startKeyed({ EGRESS_ALLOW: target.host })
    const { key } = await makeKey(service, { tenantId: TENANT, scopes: ["submit"] })
    const now: Submission = { name: "now", requestSpec: { method: "GET", url: target.url } }
    const done = await service.fetch(callsOf(TENANT), json(now, { ...withKey(key), prefer: "wait=20" }))
    expect(done.status).toBe(200)
    const { serviceCallId, status }: { readonly serviceCallId: string; readonly status: string } = await done.json()
    expect(status).toBe("Succeeded")
    const path = `${callsOf(TENANT)}/${serviceCallId}`
    expect((await service.fetch(path, { headers: withKey(key) })).status).toBe(403)
    // Nor through what changes the call, or by its idempotency key.
    const tags = { ...json({ tags: ["mine"] }, withKey(key)), method: "PUT" }
    const changed = await service.fetch(`${path}/tags`, tags)
    expect({ status: changed.status, names: Object.keys(await changed.json()) }).toEqual({
      status: 200,
      names: ["serviceCallId", "status", "links"]
    })
    const keyed = { ...withKey(key), prefer: "wait=20", "idempotency-key": "k" }
    expect(await (await service.fetch(callsOf(TENANT), json(now, keyed))).json()).toHaveProperty("outcome")
    expect(await (await service.fetch(callsOf(TENANT), json(now, keyed))).json()).not.toHaveProperty("outcome")
    const other = await makeKey(service, { tenantId: "globex", scopes: ["read"] })
    expect((await service.fetch(path, { headers: withKey(other.key) })).status).toBe(404)
  })
})
