import { Transaction } from "@event-service-agent/platform/transaction"
import { Layer } from "effect"
import { AttemptStore } from "../src/ports/attempt-store.ts"
import { attemptStoreContract } from "./attempt-store.contract.ts"

attemptStoreContract("in memory", Layer.merge(AttemptStore.layerMemory, Transaction.layerMemory))
