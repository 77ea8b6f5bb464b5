import { apiKeyStoreContract } from "@event-service-agent/api/api-key-store.contract"
import { submissionStoreContract } from "@event-service-agent/api/submission-store.contract"
import { attemptStoreContract } from "@event-service-agent/execution/attempt-store.contract"
import { timerStoreContract } from "@event-service-agent/timer/timer-store.contract"
import { Layer } from "effect"
import { layer as apiKeyStoreLayer } from "../../src/sqlite/api-key-store.ts"
import { layer as attemptStoreLayer } from "../../src/sqlite/attempt-store.ts"
import { layer as submissionStoreLayer } from "../../src/sqlite/submission-store.ts"
import { layer as timerStoreLayer } from "../../src/sqlite/timer-store.ts"
import { layer as transactionLayer } from "../../src/sqlite/transaction.ts"
import { temporaryDatabase } from "./temporary-database.ts"

timerStoreContract("on SQLite", Layer.merge(timerStoreLayer, transactionLayer).pipe(Layer.provide(temporaryDatabase)))
attemptStoreContract(
  "on SQLite",
  Layer.merge(attemptStoreLayer, transactionLayer).pipe(Layer.provide(temporaryDatabase))
)
submissionStoreContract(
  "on SQLite",
  Layer.merge(submissionStoreLayer, transactionLayer).pipe(Layer.provide(temporaryDatabase))
)
apiKeyStoreContract("on SQLite", Layer.merge(apiKeyStoreLayer, transactionLayer).pipe(Layer.provide(temporaryDatabase)))
