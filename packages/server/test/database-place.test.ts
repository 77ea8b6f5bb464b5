import { Database } from "bun:sqlite"
import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Effect } from "effect"
import { afterAll, describe, expect, it } from "vitest"
import { loadSecretKey } from "../src/secret-key.ts"
import { fatalMessageOf, removeLeftovers, runToEnd, Service, temporaryFolder } from "./process.ts"

afterAll(removeLeftovers)

/** What may be at DB_PATH by mistake, and what is said of it. */
const PLACES: ReadonlyArray<readonly [name: string, reason: string]> = [
  ["folder", "it is a folder; set DB_PATH to a file in it"],
  ["text", "it is no database"],
  ["foreign.db", "it is a database of another program; choose another DB_PATH"],
  ["link.db", "it is a link to a file that does not exist"],
  ["gone/event.db", "gone is a link to what does not exist"],
  ["loop/event.db", "loop is a link to what does not exist"],
  ["text/event.db", "is no folder; set DB_PATH to a file in one"],
  ["text/no/such/folder/event.db", "is no folder; set DB_PATH to a file in one"]
]

const folderOfMistakes = () => {
  const folder = temporaryFolder()
  mkdirSync(join(folder.path, "folder"))
  writeFileSync(join(folder.path, "text"), "dear diary, ".repeat(100))
  symlinkSync("gone.db", join(folder.path, "link.db"))
  symlinkSync("nowhere", join(folder.path, "gone"))
  symlinkSync("loop", join(folder.path, "loop"))
  using database = new Database(join(folder.path, "foreign.db"))
  database.run("CREATE TABLE recipes (name TEXT)")
  return folder
}

describe("a DB_PATH where there can be no database", () => {
  it("is named before anything is said of the secret key, and nothing is created", async () => {
    using folder = folderOfMistakes()
    const names = () => [folder.path, join(folder.path, "folder")].map((path) => readdirSync(path).sort())
    const before = names()
    for (const [name, reason] of PLACES) {
      const dbPath = join(folder.path, name)
      // None beside it, one that is missing elsewhere, and one that is none.
      for (const key of [
        join(dbPath, "../secret.key"),
        join(folder.path, "elsewhere.key"),
        join(folder.path, "text")
      ]) {
        const refused = await Effect.runPromise(Effect.flip(loadSecretKey(key, dbPath)))
        expect(refused.message).toContain(`cannot use the database ${dbPath}`)
        expect(refused.message).toContain(reason)
        expect(refused.message).toContain("DB_PATH")
      }
    }
    expect(names()).toEqual(before)
  })

  it("is what the service ends with, in one line", async () => {
    using folder = folderOfMistakes()
    const dbPath = join(folder.path, "foreign.db")
    const refused = await runToEnd(folder.path, { DB_PATH: dbPath })
    expect(refused.exitCode).toBe(1)
    expect(fatalMessageOf(refused)).toBe(
      `FATAL cannot use the database ${dbPath}: it is a database of another program; choose another DB_PATH`
    )
  })
})

describe("a DB_PATH where there is nothing yet", () => {
  it("is doubted once when the key was there before, since the calls may be elsewhere", async () => {
    using folder = temporaryFolder()
    const key = join(folder.path, "mounted.key")
    writeFileSync(key, `${"ab".repeat(32)}\n`, { mode: 0o600 })
    const dbPath = join(folder.path, "typo/service.db")
    await using service = await Service.start({ DB_PATH: dbPath, SECRET_KEY_FILE: key })
    const doubts = () => service.logs.filter(({ message }) => message.startsWith("begins an empty database"))
    expect(doubts()).toMatchObject([{ level: "WARN", annotations: { dbPath, secretKeyFile: key } }])
    await service.kill("SIGTERM")
    await service.restart()
    expect(doubts()).toHaveLength(1)
  })

  it("is begun without a word when the key is new, too", async () => {
    await using service = await Service.start()
    expect(service.logs.filter(({ level }) => level === "WARN")).toEqual([])
  })
})
