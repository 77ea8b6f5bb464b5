import { symlinkSync } from "node:fs"
import { EventBusPort } from "@event-service-agent/platform/event-bus"
import { Outbox } from "@event-service-agent/platform/outbox"
import { numbered, sealedCommand } from "@event-service-agent/platform/test-messages"
import { live } from "@event-service-agent/platform/testing"
import { Transaction } from "@event-service-agent/platform/transaction"
import { Effect, Layer, Option } from "effect"
import { describe, expect, it } from "vitest"
import { layer as databaseLayer, ReadConnection, WriteConnection } from "../../src/sqlite/database.ts"
import { readPragma } from "../../src/sqlite/migrations.ts"
import { layer as outboxLayer } from "../../src/sqlite/outbox.ts"
import { layer as transactionLayer } from "../../src/sqlite/transaction.ts"
import { temporaryDatabase, temporaryPath } from "./temporary-database.ts"

const layerBus = EventBusPort.layerEmbedded.pipe(
  Layer.provideMerge(Layer.merge(transactionLayer, outboxLayer)),
  Layer.provideMerge(temporaryDatabase)
)

describe("the database", () => {
  it(
    "is durable with each commit, and read by a connection that cannot write",
    live(
      Effect.gen(function* () {
        const { database } = yield* WriteConnection
        const reader = yield* ReadConnection
        const settings = ["journal_mode", "synchronous", "foreign_keys", "trusted_schema", "cell_size_check"]
        expect(settings.map((name) => readPragma(database, name))).toEqual(["wal", 1, 1, 0, 1])
        expect(() => reader.database.run("CREATE TABLE t (a)")).toThrow("readonly")
      }).pipe(Effect.provide(temporaryDatabase))
    )
  )

  it(
    "is one process's alone, under whatever name it is opened",
    live(
      Effect.gen(function* () {
        const path = yield* temporaryPath
        symlinkSync(path, `${path}.link`)
        const expectOthersRefused = Effect.gen(function* () {
          yield* Layer.build(databaseLayer(path))
          for (const name of [path, `${path}.link`]) {
            const refused = yield* Effect.flip(Layer.build(databaseLayer(name)))
            expect(refused.message).toContain("another process is using it")
          }
        })
        // The first start commits to its lock, a later one does not.
        for (const _ of ["first", "later"]) yield* Effect.scoped(expectOthersRefused)
      })
    )
  )

  it(
    "says that there is no room until a write succeeds, and meanwhile reads whatever else is written beside it",
    live(
      Effect.gen(function* () {
        const { database } = yield* WriteConnection
        const bus = yield* EventBusPort
        const outbox = yield* Outbox
        const transaction = yield* Transaction
        const publish = transaction.run(bus.publish([sealedCommand(1, new Uint8Array(100_000))]))
        const read = transaction.run(outbox.deliveriesAfter("execution", 0, 10))
        database.run(`PRAGMA max_page_count = ${readPragma(database, "page_count")}`)
        const [refused, found] = yield* Effect.all([Effect.flip(publish), read], { concurrency: "unbounded" })
        expect(refused).toMatchObject({ _tag: "StorageError", isFull: true })
        expect(found.deliveries).toEqual([])
        expect(yield* transaction.refusal).toEqual(Option.some(refused))

        database.run("PRAGMA max_page_count = 1000000")
        yield* read
        expect(Option.isSome(yield* transaction.refusal)).toBe(true)
        yield* publish
        expect(yield* transaction.refusal).toEqual(Option.none())
      }).pipe(Effect.provide(layerBus))
    )
  )

  it(
    "does not let a message that cannot be read hold up the others",
    live(
      Effect.gen(function* () {
        const { database } = yield* WriteConnection
        const bus = yield* EventBusPort
        const outbox = yield* Outbox
        const transaction = yield* Transaction
        yield* transaction.run(bus.publish([numbered(1, 1), numbered(2, 2), numbered(1, 3)]))
        database.run("UPDATE outbox SET payload = '{}' WHERE seq = 1")
        const found = yield* transaction.run(outbox.deliveriesAfter("orchestration", 0, 10))
        expect(found.deliveries.map((delivery) => delivery.seq)).toEqual([2, 3])
        expect(found.unreadable).toHaveLength(1)
        expect(yield* outbox.deadLetters(10)).toMatchObject([
          { seq: 1, error: expect.stringContaining("cannot be read") }
        ])
      }).pipe(Effect.provide(layerBus))
    )
  )
})
