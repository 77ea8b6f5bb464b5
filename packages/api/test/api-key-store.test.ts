import { Transaction } from "@event-service-agent/platform/transaction"
import { Layer } from "effect"
import { ApiKeyStore } from "../src/ports/api-key-store.ts"
import { apiKeyStoreContract } from "./api-key-store.contract.ts"

apiKeyStoreContract("in memory", Layer.merge(ApiKeyStore.layerMemory, Transaction.layerMemory))
