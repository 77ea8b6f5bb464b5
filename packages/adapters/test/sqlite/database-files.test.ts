import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { EventBusPort } from "@event-service-agent/platform/event-bus"
import { numbered } from "@event-service-agent/platform/test-messages"
import { live } from "@event-service-agent/platform/testing"
import { Transaction } from "@event-service-agent/platform/transaction"
import { Context, Effect, Layer } from "effect"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { layer as databaseLayer, ReadConnection } from "../../src/sqlite/database.ts"
import { APPLICATION_ID, migrations } from "../../src/sqlite/migrations.ts"
import { layer as outboxLayer } from "../../src/sqlite/outbox.ts"
import { layer as transactionLayer } from "../../src/sqlite/transaction.ts"
import {
  change,
  changeAndKill,
  cut,
  flipBit,
  foreignLog,
  killInCommit,
  killInFirstStart,
  overwrite
} from "./harmed-files.ts"
import { temporaryPath } from "./temporary-database.ts"

const PAGE_BYTES = 4_096
const FRAME_BYTES = 24 + PAGE_BYTES
const WAL_HEADER_BYTES = 32
/** Messages in a database before it is harmed: one commit each, over several pages. */
const MESSAGES = 60

/** Harm done to the files of a database that was stopped, or killed, and what the next start says of it. */
type Harm = readonly [what: string, harm: (path: string) => void, reason: string]

const toStopped: ReadonlyArray<Harm> = [
  ["cut off in the middle of a page", (path) => cut(path, 5 * PAGE_BYTES + 77), "it is damaged"],
  ["cut off between two pages", (path) => cut(path, 5 * PAGE_BYTES), "it is damaged"],
  ["cut off in the first page", (path) => cut(path, 50), "the beginning of one is damaged"],
  ["with another name for what it is", (path) => overwrite(path, 0, "dear diary"), "it is no database, or the"],
  ["with an impossible page size", (path) => overwrite(path, 16, "\x11\x11"), "it is no database, or the"],
  ["overwritten in the middle", (path) => overwrite(path, 6 * PAGE_BYTES, "\xff".repeat(64)), "it is damaged"],
  ["made by another program", (path) => overwrite(path, 68, "\x12\x34\x56\x78"), "a database of another program"],
  ["with a newer schema", (path) => change(path, "PRAGMA user_version = 999"), "its schema is version 999"],
  ["that is empty now", (path) => cut(path, 0), "it is empty, but there was one: restore a backup"],
  ["that is gone", (path) => rmSync(path), "it is missing, but there was one: restore a backup"]
]

const toKilled: ReadonlyArray<Harm> = [
  [
    "without the database",
    (path) => {
      rmSync(path)
      rmSync(`${path}.lock`)
    },
    "it is missing, but there was one"
  ],
  [
    "with a wrong bit in the middle",
    (path) => flipBit(`${path}-wal`, WAL_HEADER_BYTES + 20 * FRAME_BYTES + 999),
    "-wal, which belongs to it, is damaged"
  ],
  ["with a wrong bit in its first line", (path) => flipBit(`${path}-wal`, 9), "-wal, which belongs to it, is damaged"],
  [
    "that is something else",
    (path) => writeFileSync(`${path}-wal`, "dear diary, ".repeat(900)),
    "-wal, which belongs to it, is damaged"
  ],
  ["of another database", (path) => copyFileSync(foreignLog(path), `${path}-wal`), "is of another database"],
  ["of the same database, but newer", (path) => copyFileSync(`${template}.earlier`, path), "it is damaged"],
  ["with a newer schema", (path) => changeAndKill(path, "PRAGMA user_version = 999"), "its schema is version 999"]
]

describe("a database", () => {
  for (const [what, harm, reason] of toStopped) {
    it(
      `${what} is refused and stays as it is`,
      live(
        Effect.gen(function* () {
          const path = yield* stopped
          harm(path)
          yield* expectRefused(path, reason)
        })
      )
    )
  }

  it(
    "that is gone is begun anew when the mark of it is gone, too",
    live(
      Effect.gen(function* () {
        const path = yield* stopped
        rmSync(path)
        const refused = yield* expectRefused(path, "start with an empty one, delete ")
        for (const named of refused.message.match(/(?<=delete ).*$/)?.[0].split(" and ") ?? []) rmSync(named)
        expect(yield* countMessages(path)).toBe(0)
      })
    )
  )

  it(
    "without its lock file is opened as it is, and missed when it is gone",
    live(
      Effect.gen(function* () {
        const path = yield* stopped
        rmSync(`${path}.lock`)
        expect(yield* countMessages(path)).toBe(MESSAGES)
        rmSync(path)
        yield* expectRefused(path, "it is missing, but there was one")
      })
    )
  )

  it(
    "with a damaged lock file says which file to delete",
    live(
      Effect.gen(function* () {
        const path = yield* stopped
        writeFileSync(`${path}.lock`, "dear diary, ".repeat(400))
        yield* expectRefused(path, `its lock ${path}.lock: it is damaged; delete it`)
      })
    )
  )

  it(
    "of another program gets no lock file beside it, and its unfinished commit stays unfinished",
    live(
      Effect.gen(function* () {
        const path = yield* temporaryPath
        killInCommit(path, "CREATE TABLE recipes (name TEXT)", `INSERT INTO recipes VALUES ('${"soup".repeat(9_999)}')`)
        yield* expectRefused(path, "a database of another program")
        expect(existsSync(`${path}.lock`)).toBe(false)
      })
    )
  )
})

describe("the write-ahead log of a killed process", () => {
  for (const [what, harm, reason] of toKilled) {
    it(
      `${what} is refused, and neither merged nor deleted`,
      live(
        Effect.gen(function* () {
          const path = yield* killed
          harm(path)
          yield* expectRefused(path, reason)
        })
      )
    )
  }

  const torn: ReadonlyArray<readonly [how: string, tear: (wal: string, bytes: number) => void]> = [
    ["did not write to its end", (wal, bytes) => cut(wal, bytes - 1_000)],
    ["wrote in part", (wal, bytes) => overwrite(wal, bytes - FRAME_BYTES - 1_000, "\xff".repeat(100))]
  ]
  for (const [how, tear] of torn) {
    it(
      `is read up to the commit that a power cut ${how}, and merged by the next stop`,
      live(
        Effect.gen(function* () {
          const path = yield* killed
          const wal = `${path}-wal`
          tear(wal, statSync(wal).size)
          expect(yield* countMessages(path)).toBe(MESSAGES - 1)
          expect(statSync(wal, { throwIfNoEntry: false })?.size ?? 0).toBe(0)
        })
      )
    )
  }

  it(
    "is read up to where it was begun anew",
    live(
      Effect.gen(function* () {
        const path = yield* killedLater
        expect(statSync(`${path}-wal`).size).toBe(statSync(`${template}.killed-wal`).size)
        expect(yield* countMessages(path)).toBe(MESSAGES + 2)
      })
    )
  )
})

describe("a first start", () => {
  const cutOff: ReadonlyArray<readonly [when: string, how: (path: string) => void]> = [
    ["before it did anything", (path) => writeFileSync(path, "")],
    ["while it created the tables", killInFirstStart],
    [
      "before it marked that there is a database",
      (path) => {
        change(path, migrations.join("\n"))
        change(path, `PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${migrations.length}`)
      }
    ]
  ]
  for (const [when, how] of cutOff) {
    it(
      `that was cut off ${when} is made up for, and what it creates is missed when it is gone`,
      live(
        Effect.gen(function* () {
          const path = yield* temporaryPath
          writeFileSync(`${path}.lock`, "")
          how(path)
          expect(yield* countMessages(path)).toBe(0)
          rmSync(path)
          yield* expectRefused(path, "it is missing, but there was one")
        })
      )
    )
  }

  it(
    "on what is no file creates nothing there",
    live(
      Effect.gen(function* () {
        const path = yield* temporaryPath
        mkdirSync(path)
        yield* expectRefused(path, "it is a folder; set DB_PATH to a file in it")
        symlinkSync(`${path}/nowhere.db`, `${path}.link`)
        yield* expectRefused(`${path}.link`, "it is a link to a file that does not exist")
        yield* expectRefused("/dev/null", "it is no file")
      })
    )
  )
})

const withTables = (path: string) =>
  EventBusPort.layerEmbedded.pipe(
    Layer.provideMerge(Layer.merge(transactionLayer, outboxLayer)),
    Layer.provideMerge(databaseLayer(path))
  )

/** Opens the database until the scope ends. Gives what writes messages, each in a commit of its own. */
const opened = Effect.fnUntraced(function* (path: string) {
  const context = yield* Layer.build(withTables(path))
  return Effect.fnUntraced(function* (from: number, to: number) {
    const bus = Context.get(context, EventBusPort)
    const transaction = Context.get(context, Transaction)
    for (let n = from; n <= to; n++) yield* transaction.run(bus.publish([numbered(n, n)]))
  })
})

const template = join(mkdtempSync(join(tmpdir(), "event-service-")), "event_service.db")
const copyTemplate = (name: string) => {
  for (const suffix of ["", "-wal", ".lock"]) copyFileSync(`${template}${suffix}`, `${template}.${name}${suffix}`)
}
beforeAll(
  live(
    Effect.gen(function* () {
      const publish = yield* opened(template)
      yield* publish(1, MESSAGES / 4)
      change(template, "PRAGMA wal_checkpoint(TRUNCATE)")
      copyTemplate("earlier")
      yield* publish(MESSAGES / 4 + 1, MESSAGES / 2)
      change(template, "PRAGMA wal_checkpoint(TRUNCATE)")
      yield* publish(MESSAGES / 2 + 1, MESSAGES - 1)
      yield* publish(MESSAGES, MESSAGES)
      copyTemplate("killed")
      change(template, "PRAGMA wal_checkpoint(FULL)")
      yield* publish(MESSAGES + 1, MESSAGES + 2)
      copyTemplate("reused")
      change(template, "DELETE FROM deliveries; DELETE FROM outbox WHERE seq > 60; PRAGMA wal_checkpoint(TRUNCATE)")
      copyTemplate("stopped")
    })
  )
)
afterAll(() => rmSync(dirname(template), { recursive: true }))

/** The files as one of the copies has them. */
const filesOf = (name: "earlier" | "stopped" | "killed" | "reused") =>
  Effect.map(temporaryPath, (path) => {
    for (const suffix of ["", "-wal", ".lock"]) copyFileSync(`${template}.${name}${suffix}`, `${path}${suffix}`)
    return path
  })

/** What a process leaves that stopped: all is merged into the database. */
const stopped = filesOf("stopped")
/** What a process leaves that was killed, half of the messages in the log alone. */
const killed = filesOf("killed")
/** The same later: a log begun anew, behind which there is still the end of the one before. */
const killedLater = filesOf("reused")

/** The messages that a start on these files finds. */
const countMessages = (path: string) =>
  Effect.scoped(
    Effect.gen(function* () {
      const context = yield* Layer.build(databaseLayer(path))
      const { database } = Context.get(context, ReadConnection)
      return database.query<{ count: number }, []>("SELECT count(*) AS count FROM outbox").get()?.count
    })
  )

/** Expects a start to fail for the reason, and to leave every file as it was, but for the lock and the log's index. */
const expectRefused = Effect.fnUntraced(function* (path: string, reason: string) {
  const before = contentsBeside(path)
  const refused = yield* Effect.flip(Effect.scoped(Layer.build(databaseLayer(path))))
  expect(refused.message).toContain(reason)
  expect(refused.message).toContain(`cannot use the database ${path}`)
  expect(contentsBeside(path)).toEqual(before)
  return refused
})

const contentsBeside = (path: string) => {
  const files = readdirSync(dirname(path), { withFileTypes: true })
  const kept = files.filter((file) => file.isFile() && !/\.lock|-shm$/.test(file.name)).map((file) => file.name)
  return kept.sort().map((name) => ({ name, hash: Bun.hash(readFileSync(join(dirname(path), name))) }))
}
