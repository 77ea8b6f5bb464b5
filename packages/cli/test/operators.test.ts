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

const FLAGS_OF_ALL = ["--help", "--json", "--key", "--tenant", "--url", "--version"]

/** What the script offers for the last word of the line, sorted; short flags are left out. */
const completeInBash = (script: string, line: string): ReadonlyArray<string> => {
  const words = line.split(" ")
  const quoted = words.map((word) => `'${word}'`)
  const asked = `
    COMP_WORDS=(${quoted.join(" ")}) COMP_CWORD=${words.length - 1} COMP_LINE='${line}' COMP_POINT=${line.length}
    _esa esa ${quoted.at(-1)} ${quoted.at(-2)} || exit 1
    printf '%s\\n' "\${COMPREPLY[@]}"`
  const ran = Bun.spawnSync(["bash", "--norc", "-u"], { stdin: new TextEncoder().encode(script + asked) })
  expect({ line, exitCode: ran.exitCode, stderr: ran.stderr.toString() }).toEqual({ line, exitCode: 0, stderr: "" })
  const offered = ran.stdout.toString().split("\n")
  return offered.filter((word) => word !== "" && !/^-[^-]/.test(word)).toSorted()
}

describe("esa completions", () => {
  it("prints a script for each shell that knows the commands and their flags", async () => {
    const { done } = world
    for (const shell of ["bash", "zsh", "fish"]) {
      const { stdout } = await done(["completions", shell])
      for (const word of ["dead-letters", "republish", "idempotency-key", "completions"]) expect(stdout).toContain(word)
    }
  })

  it("completes in bash the flags of every command, and their choices", async () => {
    const script = (await world.done(["completions", "bash"])).stdout
    const offered = (line: string) => completeInBash(script, line)
    expect(offered("esa --")).toEqual(FLAGS_OF_ALL)
    expect(offered("esa why --")).toEqual(FLAGS_OF_ALL)
    expect(offered("esa dead-letters list --")).toEqual(["--limit", ...FLAGS_OF_ALL].toSorted())
    expect(offered("esa --json keys list --")).toEqual(FLAGS_OF_ALL.filter((flag) => flag !== "--json"))
    expect(offered("esa list --te")).toEqual(["--tenant", "--text"])
    // What stands apart from its flag is not the command.
    expect(offered("esa --url http://a --tenant list call --on-u")).toEqual(["--on-unknown"])
    expect(offered("esa de")).toEqual(["dead-letters"])
    expect(offered("esa list --status ")).toEqual([
      "cancelled",
      "failed",
      "running",
      "scheduled",
      "submitted",
      "succeeded"
    ])
    expect(offered("esa watch --status f")).toEqual(["failed"])
    expect(offered("esa keys create --scope ")).toEqual(["admin", "read", "submit"])
    expect(offered("esa call --on-unknown ")).toEqual(["fail", "resend"])
    expect(offered("esa completions f")).toEqual(["fish"])
    // What is offered is taken.
    expect(
      await world.done(["list", "--status", "failed", "--status", "cancelled", "--tenant", "nobody"])
    ).toMatchObject({ stdout: "" })
  })

  it("tells zsh and fish the same", async () => {
    const { done } = world
    const commands = [...(await done(["--help"])).stdout.matchAll(/^ {2}([a-z][a-z-]*) {2,}/gm)].map(([, name]) => name)
    expect(commands.length).toBeGreaterThanOrEqual(13)
    const zsh = (await done(["completions", "zsh"])).stdout
    const fish = (await done(["completions", "fish"])).stdout
    for (const flag of FLAGS_OF_ALL) {
      for (const command of commands) {
        const ofZsh = zsh.split(`_esa_${command?.replace("-", "_")}() {\n`)[1]?.split("\n}\n")[0]
        expect({ command, ofZsh }).toEqual({ command, ofZsh: expect.stringContaining(`)${flag}[`) })
        const ofFish = new RegExp(`-n '__fish_seen_subcommand_from ${command}; and .* -l ${flag.slice(2)} `)
        expect({ command, flag, isThere: ofFish.test(fish) }).toEqual({ command, flag, isThere: true })
      }
      expect(zsh.split("_esa() {\n")[1]?.split("\n}\n")[0]).toContain(`)${flag}[`)
      expect(fish).toMatch(new RegExp(`-n '__fish_use_subcommand; and .* -l ${flag.slice(2)} `))
    }
    expect(zsh).toMatch(/--status\[.*:value:\(submitted scheduled running succeeded failed cancelled\)'/)
    expect(fish).toMatch(/-l scope .* -a 'read submit admin'/)
    for (const script of [zsh, fish]) expect(script).not.toContain("no-help")
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
    const all = documentsOf(await done(["keys", "list", "--json"], admin))
    const ofAll = documentsOf(await done(["keys", "list", "--tenant", "*", "--json"], admin))
    expect(ofAll).toMatchObject([{ tenantId: "*", scopes: expect.arrayContaining(["admin"]) }])
    expect(all.length).toBe(listed.length + ofAll.length)
    // Elsewhere it is no tenant, and nobody is asked.
    expect((await esa(["list", "--tenant", "*"], admin)).stderr).toContain("--tenant is wrong")
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
