import { sideBySide } from "@event-service-agent/server/testing/client"
import { removeLeftovers } from "@event-service-agent/server/testing/process"
import { afterAll, describe, expect, it } from "vitest"
import { MAIN, runEsa } from "./esa.ts"

/** Nobody listens there. */
const NOWHERE = { ESA_URL: "http://127.0.0.1:1" }

afterAll(removeLeftovers)

const WRONG = [
  "call",
  "call GET",
  "call BREW http://a",
  "call GET http://a --at soon",
  "call GET http://a --in 5",
  "call GET http://a --timeout long",
  "call GET http://a --timeout 121s",
  "call GET http://a --wait 61",
  "call GET http://a --wait=0",
  "call GET http://a --on-unknown maybe",
  // It may be a secret, and is not repeated.
  "call GET http://a -H s3cr3t",
  "call GET http://a -H a:1 -H A:2",
  "call GET http://a -d @/nowhere/at/all",
  "call GET http://a b",
  "list --status done",
  "list --limit 0",
  "list --limit many",
  "show",
  "republish",
  "republish --since whenever",
  "dead-letters replay orchestration seven",
  "completions tcsh",
  "backup",
  "--url nonsense list",
  "--url http://user:s3cr3t@host list",
  "--tenant a/b list"
]

const AS_JSON: ReadonlyArray<readonly [line: string, message: string]> = [
  ["frobnicate --json", "frobnicate"],
  ["--json frobnicate", "frobnicate"],
  ["call --json", "method"],
  ["list --status bogus --json", "--status"],
  ["list --json --status bogus", "--status"],
  ["dead-letters list --limit abc --json", "--limit"],
  ["list --limit 0 --json=true", "--limit"],
  // No word with a hyphen is the value of a flag before it.
  ["list --text --json", "--text"],
  ["--json --tenant a/b list", "--tenant"],
  ["keys --json", "esa keys needs a command"],
  ["--json", "esa needs a command"]
]
/** As a value, after two hyphens, or turned off. */
const NOT_AS_JSON = [
  "call GET http://a -- --json",
  "list --status=--json",
  "list --limit 0 --json=false",
  "list --json no --limit 0"
]

describe("wrong use", () => {
  it.each([
    [["cal"], "call"],
    [["dead-letters", "replya"], "replay"],
    [["list", "--statu", "failed"], "--status"]
  ])("of %j suggests %s", async (args, suggestion) => {
    const ran = await runEsa(args, { env: NOWHERE })
    expect(ran).toMatchObject({ exitCode: 2, stdout: "" })
    expect(ran.stderr).toContain("Did you mean")
    expect(ran.stderr).toContain(suggestion)
    expect(ran.stderr.split("\n").length).toBeLessThan(8)
  })

  it("is exit code 2, before anybody is asked", async () => {
    const wrong: Array<unknown> = []
    await sideBySide(WRONG, 4, async (line) => {
      const ran = await runEsa(line.split(" "), { env: NOWHERE })
      const isFine = ran.exitCode === 2 && ran.stdout === "" && /^error: /.test(ran.stderr)
      if (!isFine || ran.stderr.includes("s3cr3t")) wrong.push({ line, ...ran })
    })
    expect(wrong).toEqual([])
  })

  it("is one JSON document with --json, wherever that stands", async () => {
    await sideBySide(AS_JSON, 4, async ([line, message]) => {
      const ran = await runEsa(line.split(" "), { env: NOWHERE })
      expect({ line, ...ran }).toMatchObject({ exitCode: 2, stdout: "", stderr: expect.stringMatching(/^\{.*\}\n$/) })
      const document = JSON.parse(ran.stderr)
      expect(document).toEqual({ exitCode: 2, message: expect.stringContaining(message), details: document.details })
    })
    const typo = JSON.parse((await runEsa(["cal", "--limi", "3", "--json"], { env: NOWHERE })).stderr)
    expect(typo.message).toBe('Unknown subcommand "cal" for "esa"')
    expect(typo.details.join(" ")).toMatch(/Did you mean.* call .*--limi/)
    const group = JSON.parse((await runEsa(["keys", "--json"], { env: NOWHERE })).stderr)
    expect(group.details).toEqual(["create, list, revoke"])
  })

  it("is text where --json is no flag", async () => {
    await sideBySide(NOT_AS_JSON, 4, async (line) => {
      const ran = await runEsa(line.split(" "), { env: NOWHERE })
      expect({ line, ...ran }).toMatchObject({ exitCode: 2, stdout: "", stderr: expect.stringMatching(/^error: /) })
    })
  })

  it("of no command at all shows help, beside the data", async () => {
    const ran = await runEsa([])
    expect(ran).toMatchObject({ exitCode: 2, stdout: "" })
    expect(ran.stderr).toContain("SUBCOMMANDS")
  })
})

describe("wrong configuration", () => {
  it.each([
    [{ ESA_URL: "localhost:3000" }],
    [{ ESA_URL: "ftp://127.0.0.1" }],
    [{ ...NOWHERE, ESA_TENANT: "a b" }],
    [{ ...NOWHERE, ESA_API_KEY: "a\nb" }]
  ])("%j is exit code 78", async (env) => {
    const ran = await runEsa(["list"], { env })
    expect(ran).toMatchObject({ exitCode: 78, stdout: "" })
  })
})

describe("a service that is down", () => {
  it("is exit code 69, and it says what to do", async () => {
    for (const args of [
      ["list"],
      ["watch"],
      ["doctor"],
      ["call", "GET", "http://a"],
      ["cancel", crypto.randomUUID()]
    ]) {
      const ran = await runEsa(args, { env: NOWHERE })
      expect({ args, ...ran }).toMatchObject({ exitCode: 69 })
      if (args[0] !== "doctor") expect(ran.stderr).toContain("ESA_URL")
    }
  })
})

describe("help", () => {
  it("is there for each command, with examples where they help", async () => {
    const main = await runEsa(["--help"])
    expect(main.exitCode).toBe(0)
    const commands = [...main.stdout.matchAll(/^ {2}([a-z][a-z-]*) {2,}/gm)].map(([, name = ""]) => name)
    expect(commands.length).toBeGreaterThanOrEqual(13)
    const pages = await Promise.all(commands.map((name) => runEsa([name, "--help"])))
    for (const page of pages) {
      expect(page).toMatchObject({ exitCode: 0, stderr: "" })
      expect(page.stdout).toContain("EXAMPLES")
    }
  })

  it("is not what asks for the version", async () => {
    const source = Bun.spawnSync([process.execPath, MAIN, "--version"])
    expect(source.stdout.toString()).toBe("esa 0.1.0\n")
    expect(await runEsa(["--version"])).toEqual({ exitCode: 0, stdout: "esa 0.1.0\n", stderr: "" })
  })
})
