import { EventBusPort } from "@event-service-agent/platform/event-bus"
import { eventBusContract } from "@event-service-agent/platform/event-bus.contract"
import { eventBusAtOnceContract } from "@event-service-agent/platform/event-bus-at-once.contract"
import { makeTransaction, Transaction } from "@event-service-agent/platform/transaction"
import { transactionContract } from "@event-service-agent/platform/transaction.contract"
import { Effect, Layer } from "effect"
import { WriteConnection } from "../../src/sqlite/database.ts"
import { layer as outboxLayer } from "../../src/sqlite/outbox.ts"
import { journalOf, layer as transactionLayer } from "../../src/sqlite/transaction.ts"
import { temporaryDatabase } from "./temporary-database.ts"

const storage = Layer.provide(Layer.merge(transactionLayer, outboxLayer), temporaryDatabase)
/** The test clock does not wait for a disk. */
const unsynced = Layer.effect(
  Transaction,
  Effect.flatMap(WriteConnection, (connection) => makeTransaction({ ...journalOf(connection), sync: () => undefined }))
)
const unsyncedStorage = Layer.provide(Layer.merge(unsynced, outboxLayer), temporaryDatabase)

transactionContract("on SQLite", storage)
eventBusContract("embedded on SQLite", Layer.provideMerge(EventBusPort.layerEmbedded, storage))
eventBusAtOnceContract("embedded on SQLite", Layer.provideMerge(EventBusPort.layerEmbedded, unsyncedStorage))
