import { removeLeftovers } from "@event-service-agent/server/testing/process"
import { afterAll, describe, expect, it } from "vitest"
import manifest from "../package.json" with { type: "json" }
import { answering, problem } from "./answering.ts"
import { documentsOf, runEsa } from "./esa.ts"

afterAll(removeLeftovers)

/** What doctor says of a service that works, but for what it says of itself. */
const examining = async (ready: () => Response) => {
  await using service = answering(({ url }) => {
    const { pathname } = new URL(url)
    if (pathname === "/health/ready") return ready()
    if (pathname === "/openapi.json") return Response.json({ info: { version: manifest.version } })
    return Response.json({ auth: "off", tenantId: "*", scopes: [], items: [], next: null })
  })
  const env = { ESA_URL: service.url }
  const [people, json] = [await runEsa(["doctor"], { env }), await runEsa(["doctor", "--json"], { env })]
  const checks = documentsOf(json).filter(({ check }) => !["clock", "version", "access"].includes(String(check)))
  return { people, checks: checks.map(({ check, result, detail }) => [check, result, detail]) }
}

describe("esa doctor", () => {
  it("warns of each part of a service that is degraded, and of those alone", async () => {
    const detail = "Calls are accepted and kept. 3 calls are due, and no executor asks for them"
    const parts = { storage: "ok", bus: "ok", executors: "degraded" }
    const { people, checks } = await examining(() => Response.json({ status: "degraded", checks: parts, detail }))
    expect(checks.slice(1, 5)).toEqual([
      ["ready", "warn", `degraded: ${detail}`],
      ["storage", "ok", "ok"],
      ["bus", "ok", "ok"],
      ["executors", "warn", `degraded: ${detail}`]
    ])
    expect(people).toMatchObject({ exitCode: 0, stderr: "no check failed, 2 of 9 warn\n" })
    expect(people.stdout).toMatch(/^warn +executors +degraded: .* no executor asks for them$/m)
  })

  it("tells why a service is not ready, and which part is to blame", async () => {
    const detail = "It waits for calls under way"
    for (const [part, state, result] of [
      ["calls", "draining", "warn"],
      ["storage", "failed", "fail"]
    ] as const) {
      const { people, checks } = await examining(() => problem(503, { detail, checks: { [part]: state } }))
      // Unlike a service that is away, which is exit code 69.
      expect(people.exitCode).toBe(1)
      expect(checks.slice(1, 3)).toEqual([
        ["ready", "fail", `A title: ${detail}`],
        [part, result, `${state}: ${detail}`]
      ])
    }
  })
})
