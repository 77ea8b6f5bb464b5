import { afterAll, describe, expect, it } from "vitest"
import { adminKeyOf, makeKey, revokeKey, startKeyed, withKey } from "../access/keyed-service.ts"
import { callsOf, json } from "../client.ts"
import { removeLeftovers } from "../process.ts"
import { findInBytes, findInFiles, type Needles } from "./files.ts"

const TENANT = "acme"
const LATER = {
  name: "later",
  dueAt: "2999-01-01T00:00:00Z",
  requestSpec: { method: "GET", url: "https://example.com/" }
}

/** A secret in the forms in which it might lie somewhere: enough of it to guess the rest. */
const needlesOf = (keys: Readonly<Record<string, string>>): Needles =>
  new Map(
    Object.entries(keys).map(([name, key]) => {
      const secret = key.slice(-43)
      const inBase64 = ["", "y", "yy"].map((before) =>
        Buffer.from(before + secret)
          .toString("base64")
          .slice(4, -4)
      )
      const forms = [secret.slice(0, 20), secret.slice(-20), Buffer.from(secret).toString("hex"), ...inBase64]
      return [name, forms.map((form) => Buffer.from(form))]
    })
  )

afterAll(removeLeftovers)

describe("the secret of a key", () => {
  it("is in no file but that of the administrator, no log line, and no answer but the one that tells it", async () => {
    await using service = await startKeyed({ LOG_LEVEL: "trace" })
    const admin = adminKeyOf(service)
    const used = await makeKey(service, { tenantId: TENANT, scopes: ["read", "submit"], label: "used" })
    const revoked = await makeKey(service, { tenantId: TENANT, scopes: ["read"], label: "revoked" })
    await revokeKey(service, revoked.keyId)
    const keys = { admin, used: used.key, revoked: revoked.key }
    const needles = needlesOf(keys)
    const answers: Array<string> = []
    const ask = async (path: string, init?: RequestInit) => {
      const response = await service.fetch(path, init)
      const body = response.headers.get("content-type")?.startsWith("text/event-stream") ? "" : await response.text()
      if (body === "") await response.body?.cancel()
      answers.push(`${response.status} ${JSON.stringify([...response.headers])} ${body}`)
      return response.status
    }
    const calls = callsOf(TENANT)
    for (const key of Object.values(keys)) {
      const isLive = key !== revoked.key
      expect(await ask("/api/whoami", { headers: withKey(key) })).toBe(isLive ? 200 : 401)
      expect(await ask(calls, json(LATER, withKey(key)))).toBe(isLive ? 202 : 401)
      for (const path of [calls, `${calls}/stats`, `${calls}/events`, `${calls}/export`, callsOf("globex")]) {
        await ask(path, { headers: withKey(key) })
      }
      for (const path of ["/api/admin/keys", "/metrics", "/health/ready", "/docs", "/nowhere"]) {
        await ask(path, { headers: withKey(key) })
      }
      // By mistake, in places where keys do not belong.
      await ask("/api/whoami", { headers: { authorization: `Basic ${key}` } })
      await ask("/api/whoami", { headers: { authorization: `Bearer ${key} ` } })
      await ask(calls, { ...json({}, withKey(key)), body: `{"name":"${key}",` })
      await ask("/api/admin/keys", json({ tenantId: `${key}!`, scopes: [key], expiresAt: key }, withKey(admin)))
      await ask(`/api/admin/keys/${key}`, { method: "DELETE", headers: withKey(admin) })
    }
    const ended = await service.kill("SIGTERM")
    const lines = (ended.stdout + ended.stderr).split("\n")
    const found = [
      ...findInFiles(service.folder, needles, (file) => file === "admin.key"),
      ...[...answers, ...lines].flatMap((text) =>
        findInBytes(Buffer.from(text), needles).map((name) => `${name} in ${text}`)
      )
    ]
    expect(found).toEqual([])
    expect(answers.length).toBeGreaterThan(40)
    expect(lines.length).toBeGreaterThan(40)

    // The check finds what is there.
    expect(findInFiles(service.folder, needles)).toEqual(["admin in admin.key"])
    expect(findInBytes(Buffer.from(JSON.stringify(used)), needles)).toEqual(["used"])
  })
})
