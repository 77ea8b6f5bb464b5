import { removeLeftovers } from "@event-service-agent/server/testing/process"
import { afterAll, describe, expect, it } from "vitest"
import { answering, problem } from "./answering.ts"
import { runEsa } from "./esa.ts"

const KEY = "esa_k1_5up3rs3cr3t"
const NOT_FOUND = { type: "urn:event-service-agent:problem:service-call-not-found" }
const LIST = "service-calls?limit=20"

afterAll(removeLeftovers)

/** A service with one key, and what `esa list` asks of it. */
const listing = async (tenantOfKey: () => Response, args: ReadonlyArray<string>, env: Record<string, string>) => {
  await using service = answering(({ url }) => {
    const { pathname } = new URL(url)
    if (pathname === "/api/whoami") return tenantOfKey()
    return pathname.includes("/other/") ? problem(404, NOT_FOUND) : Response.json({ items: [], next: null })
  })
  const ran = await runEsa(["list", ...args], { env: { ESA_URL: service.url, ...env } })
  return { paths: service.paths, ...ran }
}

const of = (tenantId: string) => () => Response.json({ auth: "on", tenantId, scopes: ["read"] })

describe("a key without a tenant", () => {
  it("is for its tenant, which one request more tells", async () => {
    const { paths, exitCode } = await listing(of("acme"), [], { ESA_API_KEY: KEY })
    expect({ paths, exitCode }).toEqual({ paths: ["/api/whoami", `/api/tenants/acme/${LIST}`], exitCode: 0 })
  })

  it("is for demo when it is for all tenants, or when nobody tells", async () => {
    const answers = [
      of("*"),
      of("../admin"),
      () => problem(500),
      () => new Response("null"),
      () => new Response("<html>")
    ]
    for (const answer of answers) {
      const { paths, exitCode } = await listing(answer, ["--key", KEY], {})
      expect({ paths, exitCode }).toEqual({ paths: ["/api/whoami", `/api/tenants/demo/${LIST}`], exitCode: 0 })
    }
  })
})

describe("a tenant that is named, and none without a key", () => {
  it("costs no request", async () => {
    const runs = [
      await listing(of("acme"), ["--tenant", "named"], { ESA_API_KEY: KEY }),
      await listing(of("acme"), [], { ESA_API_KEY: KEY, ESA_TENANT: "named" }),
      await listing(of("acme"), [], {})
    ]
    expect(runs.map(({ paths }) => paths)).toEqual(
      ["named", "named", "demo"].map((tenant) => [`/api/tenants/${tenant}/${LIST}`])
    )
  })

  it("is told when the key is for another one", async () => {
    const wrong = await listing(of("acme"), ["--tenant", "other"], { ESA_API_KEY: KEY })
    expect(wrong).toMatchObject({
      exitCode: 3,
      stderr: "error: A title: the key is for tenant acme, not for other\n"
    })
    const all = await listing(of("*"), ["--tenant", "other"], { ESA_API_KEY: KEY })
    expect(all).toMatchObject({ exitCode: 3, stderr: "error: A title\n" })
  })
})
