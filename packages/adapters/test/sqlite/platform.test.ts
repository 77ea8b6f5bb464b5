import { EventBusPort } from "@event-service-agent/platform/event-bus"
import { eventBusContract } from "@event-service-agent/platform/event-bus.contract"
import { transactionContract } from "@event-service-agent/platform/transaction.contract"
import { Layer } from "effect"
import { layer as outboxLayer } from "../../src/sqlite/outbox.ts"
import { layer as transactionLayer } from "../../src/sqlite/transaction.ts"
import { temporaryDatabase } from "./temporary-database.ts"

const storage = Layer.provide(Layer.merge(transactionLayer, outboxLayer), temporaryDatabase)

transactionContract("on SQLite", storage)
eventBusContract("embedded on SQLite", Layer.provideMerge(EventBusPort.layerEmbedded, storage))
