import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { temporaryFolder } from "@event-service-agent/server/testing/process"
import { until } from "@event-service-agent/server/testing/until"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { documentsOf } from "./esa.ts"
import { makeWorld, UUID, type World } from "./world.ts"

let world: World
beforeAll(async () => {
  world = await makeWorld()
})
afterAll(() => world[Symbol.asyncDispose]())

describe("esa call", () => {
  it("prints the id alone, and what to do next beside it", async () => {
    const { target, done, detail } = world
    const ran = await done(["call", "get", `${target.url}/path?token=secret`])
    const id = ran.stdout.trim()
    expect(ran.stdout).toBe(`${id}\n`)
    expect(ran.stderr).toBe(`→ esa show ${id}\n`)
    const name = `GET ${target.host}/path`
    expect(await detail(id)).toMatchObject({ name, request: { method: "GET" }, tags: [] })
  })

  it("sends what the flags say", async () => {
    const { target, call, detail } = world
    const flags = [
      "-H",
      "X-One: 1: 2",
      "--header",
      "x-two:2",
      "-d",
      '{"a":1}',
      "--name",
      "named",
      "--tag",
      "a",
      "--tag",
      "b"
    ]
    const more = ["--timeout", "3s", "--on-unknown", "resend", "--target-is-idempotent", "--keep-request"]
    const id = await call("POST", `${target.url}/flags`, ...flags, ...more)
    const [arrival] = await until("it has arrived", () => target.byKey.get(id))
    expect(arrival).toMatchObject({ method: "POST", path: "/flags", body: '{"a":1}' })
    const { headers } = arrival ?? { headers: new Headers() }
    expect([headers.get("x-one"), headers.get("x-two")]).toEqual(["1: 2", "2"])
    expect(headers.get("content-type")).toBe("application/json")
    expect(await detail(id)).toMatchObject({
      name: "named",
      tags: ["a", "b"],
      timeoutMs: 3_000,
      onUnknown: "resend",
      requestKept: true
    })
  })

  it("takes the body from a file or from what comes in, and leaves a content type that is given", async () => {
    const { target, done } = world
    using folder = temporaryFolder()
    writeFileSync(join(folder.path, "body.json"), '{"from":"file"}')
    const type = ["-H", "Content-Type: text/plain"]
    const fromFile = await done(["call", "PUT", target.url, "-d", "@body.json", ...type], { cwd: folder.path })
    const fromInput = await done(["call", "PUT", target.url, "-d", "-"], { stdin: "from ünput\n" })
    const arrivals = await until("both have arrived", () => {
      const found = [fromFile, fromInput].map(({ stdout }) => target.byKey.get(stdout.trim())?.[0])
      return found.every((arrival) => arrival !== undefined && arrival.body !== "") && found
    })
    expect(arrivals.map((arrival) => arrival?.body)).toEqual(['{"from":"file"}', "from ünput\n"])
    expect(arrivals.map((arrival) => arrival?.headers.get("content-type"))).toEqual(["text/plain", null])
  })

  it("waits for the outcome and shows it; a call that fails is exit code 1", async () => {
    const { target, esa, done } = world
    const fine = await done(["call", "GET", `${target.url}/fine`, "--wait"])
    expect(fine.stdout).toContain("Succeeded")
    expect(fine.stdout).toContain("hello")
    const broken = await esa(["call", "GET", `${target.url}/broken`, "--wait", "20", "--json"])
    expect(broken.exitCode).toBe(1)
    expect(JSON.parse(broken.stdout)).toMatchObject({ status: "Failed", outcome: { error: { kind: "HttpStatus" } } })
    expect(JSON.parse(broken.stderr)).toMatchObject({ exitCode: 1 })
  })

  it("is exit code 75 when the call has not ended after the wait", async () => {
    const { target, esa } = world
    const ran = await esa(["call", "GET", target.url, "--in", "1h", "--wait", "2"])
    expect(ran).toMatchObject({ exitCode: 75 })
    expect(ran.stdout.trim()).toMatch(UUID)
    const [waits, ended, next] = ran.stderr.split("\n")
    expect(waits).toBe("waiting for the outcome, up to 2 s")
    expect(ended).toMatch(/^error: not ended within 2 s: it is Scheduled, due [-\d]+ [:\d]+, in 59 m/)
    expect(next).toBe(`→ esa why ${ran.stdout.trim()}`)
    const json = await esa(["call", "GET", target.url, "--in", "1h", "--wait", "1", "--json"])
    expect(JSON.parse(json.stdout)).toMatchObject({ status: "Scheduled" })
    expect(JSON.parse(json.stderr)).toMatchObject({ exitCode: 75 })
  })

  it("schedules at a time or in a while, not both", async () => {
    const { target, esa, call, detail } = world
    const before = Date.now()
    const later = await detail(await call("GET", target.url, "--in", "2h"))
    const dueIn = Date.parse(later.dueAt) - before
    expect(dueIn).toBeGreaterThanOrEqual(7_200_000)
    expect(dueIn).toBeLessThan(7_200_000 + 60_000)
    expect(await detail(await call("GET", target.url, "--at", "2099-01-01 09:00"))).toMatchObject({
      status: "Scheduled",
      dueAt: "2099-01-01T09:00:00.000Z"
    })
    expect((await esa(["call", "GET", target.url, "--in", "2h", "--at", "tomorrow"])).exitCode).toBe(2)
  })

  it("is the same call under the same idempotency key, and a conflict with other content", async () => {
    const { target, esa, done, call } = world
    const key = ["--idempotency-key", "invoice-7"]
    const first = await call("GET", `${target.url}/key`, ...key)
    const again = await done(["call", "GET", `${target.url}/key`, ...key])
    expect(again.stdout.trim()).toBe(first)
    expect(again.stderr).toContain("accepted before")
    const other = await esa(["call", "GET", `${target.url}/other`, ...key])
    expect(other).toMatchObject({ exitCode: 4, stdout: "" })
    expect(other.stderr).toContain(first)
    expect(target.byKey.get(first)).toHaveLength(1)
  })
})

describe("esa list", () => {
  it("shows a table, or a document in each line, of the calls that are asked for", async () => {
    const { target, done } = world
    const env = { ESA_TENANT: "lists" }
    const empty = await done(["list"], { env })
    expect([empty.stdout, empty.stderr]).toEqual([
      "",
      "there are no calls yet\n→ esa call GET https://example.com/ --wait\n"
    ])
    const make = async (...args: ReadonlyArray<string>) => (await done(["call", ...args], { env })).stdout.trim()
    const one = await make("GET", `${target.url}/one`, "--tag", "x", "--in", "1h")
    const two = await make("GET", `${target.url}/two`, "--tag", "x", "--tag", "y", "--in", "2h")
    const three = await make("GET", `${target.url}/three`, "--wait", "--json").then(
      (text) => JSON.parse(text).serviceCallId
    )
    const ids = async (...args: ReadonlyArray<string>) =>
      documentsOf(await done(["list", "--json", ...args], { env })).map(({ serviceCallId }) => serviceCallId)
    expect(await ids()).toEqual([three, two, one])
    expect(await ids("--limit", "2")).toEqual([three, two])
    expect(await ids("--status", "scheduled", "--status", "Running")).toEqual([two, one])
    expect(await ids("--tag", "x", "--tag", "y")).toEqual([two])
    expect(await ids("--text", "/three")).toEqual([three])
    expect(await ids("--from", "in 30m", "--to", "in 90m")).toEqual([one])
    const table = await done(["list", "--limit", "1"], { env })
    expect(table.stdout.split("\n")[0]).toMatch(/^ID +STATUS +DUE +LATENESS +NAME +REQUEST$/)
    expect(table.stdout).toContain(`${three}  Succeeded`)
    expect(table.stderr).toContain("--all")
    expect(table.stderr).toContain(`→ esa show ${three}`)
  })

  it("goes through all pages with --all, and through as many as --limit needs", async () => {
    const { target, service, done } = world
    const tenant = "pages"
    const body = JSON.stringify({
      name: "n",
      dueAt: "2099-01-01T00:00:00Z",
      requestSpec: { method: "GET", url: target.url }
    })
    const init = { method: "POST", headers: { "content-type": "application/json" }, body }
    await Promise.all(Array.from({ length: 230 }, () => service.fetch(`/api/tenants/${tenant}/service-calls`, init)))
    const all = documentsOf(await done(["--tenant", tenant, "list", "--all", "--json"]))
    expect(new Set(all.map(({ serviceCallId }) => serviceCallId)).size).toBe(230)
    expect(documentsOf(await done(["list", "--limit", "120", "--json", "--tenant", tenant]))).toHaveLength(120)
  })
})

describe("esa show", () => {
  it("finds a call by the beginning of its id, and the next command reaches the same service and tenant", async () => {
    const { target, service, done } = world
    const id = (await done(["--tenant", "shows", "call", "GET", target.url, "--in", "1h"])).stdout.trim()
    const ran = await done(["show", id.slice(0, 20).toUpperCase(), "--tenant", "shows", "--url", service.url])
    expect(ran.stdout).toContain(id)
    expect(ran.stdout).toContain("Scheduled")
    expect(ran.stderr).toBe(`→ esa --url ${service.url} --tenant shows cancel ${id}\n`)
  })

  it("finds a call by the end of its id, as the page shows it", async () => {
    const { target, esa, done, call } = world
    const ids = [await call("GET", target.url, "--in", "1h"), await call("GET", target.url, "--in", "1h")]
    for (const id of ids) expect((await done(["show", id.slice(-8)])).stdout).toMatch(new RegExp(`^id +${id}$`, "m"))
    const [one = ""] = ids
    const tail = one.slice(-9)
    const slip = await esa(["show", tail.replace(/.$/, (last) => (last === "0" ? "1" : "0"))])
    expect(slip.exitCode).toBe(3)
    expect(slip.stderr).toContain(`did you mean ${one}?`)
    expect((await esa(["show", one.slice(-3)])).exitCode).toBe(2)
  })

  it("says what may have been meant when there is no such call, or more than one", async () => {
    const { target, esa, done } = world
    const tenant = ["--tenant", "slips"]
    const [one, two] = await Promise.all(
      [1, 2].map(async () => (await done(["call", "GET", target.url, "--in", "1h", ...tenant])).stdout.trim())
    )
    const wrong = one?.replace(/.$/, (last) => (last === "0" ? "1" : "0")) ?? ""
    const missing = await esa(["show", wrong, ...tenant])
    expect(missing).toMatchObject({ exitCode: 3, stdout: "" })
    expect(missing.stderr).toContain(`did you mean ${one}?`)
    const mistyped = await esa(["show", "zzzzzzzz", ...tenant])
    expect(mistyped.exitCode).toBe(2)
    expect((await esa(["show", "ffff0000", ...tenant])).exitCode).toBe(3)
    const both = await esa(["show", one?.slice(0, 6) ?? "", ...tenant])
    expect(both.exitCode).toBe(2)
    expect(both.stderr).toContain(one)
    expect(both.stderr).toContain(two)
  })
})

describe("esa why", () => {
  it("names the gate, its numbers and the next wake-up", async () => {
    const { target, esa, done, call } = world
    const id = await call("GET", target.url, "--at", "2099-01-01 09:00")
    const ran = await done(["why", id])
    expect(ran.stdout).toMatch(/^Waits for its due time/)
    expect(ran.stdout).toMatch(/gate +timer/)
    expect(ran.stdout).toMatch(/next wake-up +2099-01-01 09:00:00, in \d+ y/)
    expect(JSON.parse((await done(["why", id, "--json"])).stdout)).toMatchObject({
      gate: "timer",
      status: "Scheduled"
    })
    expect((await esa(["why", crypto.randomUUID()])).exitCode).toBe(3)
  })

  it("divides the lateness of a call that has ended", async () => {
    const { target, done } = world
    const ran = await done(["call", "GET", target.url, "--wait", "--json"])
    const why = await done(["why", JSON.parse(ran.stdout).serviceCallId])
    expect(why.stdout).toMatch(/late: in all +\d+ ms/)
    expect(why.stdout).toMatch(/late: until its release +\d+ ms/)
  })
})
