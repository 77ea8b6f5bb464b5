import { readFileSync } from "node:fs"
import { join } from "node:path"
import { type CountingTarget, countingTarget } from "@event-service-agent/server/testing/counting-target"
import { removeLeftovers, Service, temporaryFolder } from "@event-service-agent/server/testing/process"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { commandOfEsa, runEsa, runOnTerminal, startEsa } from "./esa.ts"

const ESCAPE = "\u001b"
/** More than a pipe holds. */
const CALLS = 400

let target: CountingTarget
let service: Service

beforeAll(async () => {
  target = countingTarget(() => new Response(`${ESCAPE}]0;owned\u0007 two\nlines`))
  service = await Service.start({ EGRESS_ALLOW: target.host })
  const submission = {
    name: "right\u202eleft",
    tags: ["x".repeat(64)],
    dueAt: "2099-01-01T00:00:00Z",
    requestSpec: { method: "GET", url: `${target.url}/${"long".repeat(200)}` }
  }
  const init = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(submission) }
  const path = "/api/tenants/demo/service-calls"
  const answers = await Promise.all(Array.from({ length: CALLS }, () => service.fetch(path, init)))
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([202]))
})

afterAll(async () => {
  removeLeftovers()
  await target[Symbol.asyncDispose]()
})

describe("colours", () => {
  it("are on a terminal, and nowhere else", async () => {
    const env = { ESA_URL: service.url }
    expect(await runOnTerminal(["list", "--limit", "1"], env)).toContain(`${ESCAPE}[`)
    const { stdout, stderr } = await runEsa(["list", "--limit", "1"], { env })
    expect(stdout + stderr).not.toContain(ESCAPE)
  })

  it("are not where NO_COLOR is set, nor on a dumb terminal", async () => {
    for (const env of [{ NO_COLOR: "1" }, { TERM: "dumb" }, { NO_COLOR: "1", FORCE_COLOR: "1" }]) {
      for (const args of [["list", "--limit", "1"], ["lits"], ["show", crypto.randomUUID()]]) {
        expect(await runOnTerminal(args, { ESA_URL: service.url, ...env })).not.toContain(ESCAPE)
      }
    }
  })
})

describe("what others wrote", () => {
  it("cannot talk to the terminal", async () => {
    const env = { ESA_URL: service.url }
    const list = await runEsa(["list", "--limit", "1"], { env })
    expect(list.stdout).toContain("right\\u202eleft")
    const shown = await runEsa(["call", "GET", target.url, "--wait"], { env })
    expect(shown.exitCode).toBe(0)
    expect(shown.stdout).toContain("\\u001b]0;owned\\u0007 two\nlines")
    expect(list.stdout + shown.stdout).not.toContain(ESCAPE)
  })
})

describe("a reader that has seen enough", () => {
  it("ends the program without a word", async () => {
    const { path } = temporaryFolder()
    const errors = join(path, "errors")
    // In a shell: what reads there is gone for good.
    const pipe = `"$0" "$1" list --all --json 2>"${errors}" | head -n 1; echo "\${PIPESTATUS[0]}"`
    const command = await commandOfEsa()
    const child = Bun.spawn(["bash", "-c", pipe, ...command], {
      env: { PATH: process.env["PATH"] ?? "", ESA_URL: service.url },
      stdout: "pipe"
    })
    const [line = "", exitCode] = (await new Response(child.stdout).text()).split("\n")
    expect(JSON.parse(line)).toHaveProperty("serviceCallId")
    expect({ exitCode, errors: readFileSync(errors, "utf8") }).toEqual({ exitCode: "0", errors: "" })
  })

  it("gets every line it waits for, however slowly it reads", async () => {
    const child = await startEsa(["list", "--all", "--json"], { env: { ESA_URL: service.url } })
    let lines = 0
    for await (const chunk of child.stdout) {
      lines += new TextDecoder().decode(chunk).split("\n").length - 1
      await Bun.sleep(2)
    }
    expect(lines).toBeGreaterThanOrEqual(CALLS)
    expect(await child.exited).toBe(0)
  })
})
