import { removeLeftovers } from "@event-service-agent/server/testing/process"
import { afterAll, describe, expect, it } from "vitest"
import { answering, problem } from "./answering.ts"
import { runEsa } from "./esa.ts"

const KEY = "esa_k1_5up3rs3cr3t"

afterAll(removeLeftovers)

/** The exit code for each status of an answer. */
const MEANINGS = new Map([
  [400, 2],
  [401, 77],
  [403, 77],
  [404, 3],
  [409, 4],
  [413, 2],
  [415, 2],
  [421, 78],
  [422, 2],
  [429, 75],
  [500, 1],
  [503, 75]
])

describe("exit codes", () => {
  it("say what the service answered", async () => {
    const found = await Promise.all(
      [...MEANINGS.keys()].map(async (status) => {
        await using service = answering(() => problem(status, { detail: "more" }))
        const { exitCode, stdout, stderr } = await runEsa(["list"], { env: { ESA_URL: service.url } })
        // Never again by itself: nobody knows what the first one did.
        expect({ stdout, stderr, asked: service.asked.length }).toEqual({
          stdout: "",
          stderr: "error: A title: more\n",
          asked: 1
        })
        return [status, exitCode] as const
      })
    )
    expect(new Map(found)).toEqual(MEANINGS)
  })

  it("are 69 for whatever is no Event Service Agent, and for one that does not know the command", async () => {
    const type = "urn:event-service-agent:problem:route-not-found"
    const answers = [
      () => new Response("<html>502", { status: 502 }),
      () => new Response("<html>welcome"),
      () => new Response("null", { headers: { "content-type": "application/problem+json" }, status: 404 }),
      () => problem(404, { type }),
      () => new Response("", { status: 302, headers: { location: "/elsewhere" } })
    ]
    for (const answer of answers) {
      await using service = answering(answer)
      const ran = await runEsa(["dead-letters", "list"], { env: { ESA_URL: service.url } })
      expect(ran).toMatchObject({ exitCode: 69, stdout: "" })
      expect(ran.stderr).toContain(service.url)
    }
  })
})

describe("a problem", () => {
  it("names the flag of each wrong field, when to try again, and the correlation id", async () => {
    const errors = [
      { in: "body", pointer: "#/requestSpec/url", detail: "no address" },
      { in: "body", pointer: "#/dueAt", detail: "too old" },
      { in: "header", pointer: "#/idempotency-key", detail: "too long" },
      { in: "query", pointer: "#/surprise", detail: "unknown" }
    ]
    const all = { errors, correlationId: "c-1" }
    await using service = answering(() => problem(422, all, { "retry-after": "7" }))
    const ran = await runEsa(["call", "GET", "http://example.com"], { env: { ESA_URL: service.url } })
    expect(ran.stderr.split("\n")).toEqual([
      "error: A title",
      "  <url>: no address",
      "  --at or --in: too old",
      "  --idempotency-key: too long",
      "  query #/surprise: unknown",
      "  try again in 7 s",
      "  correlation id: c-1",
      ""
    ])
    const json = await runEsa(["--json", "call", "GET", "http://example.com"], { env: { ESA_URL: service.url } })
    expect(JSON.parse(json.stderr)).toMatchObject({
      exitCode: 2,
      message: "A title",
      problem: { status: 422, errors }
    })
  })

  it("cannot talk to the terminal", async () => {
    await using service = answering(() => problem(500, { detail: "\u001b[2J\u202e\u009b31m" }))
    const ran = await runEsa(["list"], { env: { ESA_URL: service.url } })
    expect(ran.stderr).toBe("error: A title: \\u001b[2J\\u202e\\u009b31m\n")
  })
})

describe("the key", () => {
  it("goes with each request and nowhere else", async () => {
    await using elsewhere = answering(() => new Response("{}"))
    await using service = answering(({ url }) =>
      url.includes("tenants") ? Response.redirect(`${elsewhere.url}/`, 307) : problem(401)
    )
    const env = { ESA_URL: service.url, ESA_API_KEY: KEY }
    const runs = [
      await runEsa(["list"], { env }),
      await runEsa(["doctor", "--json"], { env }),
      await runEsa(["dead-letters", "list", "--key", `${KEY}2`], { env }),
      await runEsa(["watch"], { env }),
      await runEsa(["list", "--key", "with blank"], { env }),
      await runEsa(["call", "GET", "http://example.com", "--json"], { env })
    ]
    expect(service.asked.length).toBeGreaterThanOrEqual(5)
    expect(new Set(service.asked)).toEqual(new Set([`Bearer ${KEY}`, `Bearer ${KEY}2`]))
    expect(elsewhere.asked).toHaveLength(0)
    for (const { stdout, stderr } of runs) expect(stdout + stderr).not.toContain("5up3rs3cr3t")
    expect(runs.map(({ exitCode }) => exitCode)).toEqual([69, 69, 77, 69, 2, 69])
  })

  it("is asked to travel by https where others could read it", async () => {
    // The address is of a block that leads nowhere; what is said comes before the request.
    const child = await runEsa(["list", "--url", "http://esa.invalid"], { env: { ESA_API_KEY: KEY } })
    expect(child.stderr).toContain("plain text")
    expect(child.exitCode).toBe(69)
  })
})
