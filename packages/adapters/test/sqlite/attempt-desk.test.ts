import { attemptDeskContract } from "@event-service-agent/execution/attempt-desk.contract"
import { EventBusPort } from "@event-service-agent/platform/event-bus"
import { Layer } from "effect"
import { layer as attemptStoreLayer } from "../../src/sqlite/attempt-store.ts"
import { layer as outboxLayer } from "../../src/sqlite/outbox.ts"
import { layer as transactionLayer } from "../../src/sqlite/transaction.ts"
import { temporaryDatabase } from "./temporary-database.ts"

const stores = Layer.mergeAll(attemptStoreLayer, outboxLayer, transactionLayer).pipe(Layer.provide(temporaryDatabase))

attemptDeskContract("on SQLite", EventBusPort.layerEmbedded.pipe(Layer.provideMerge(stores)))
