import { Transaction } from "@event-service-agent/platform/transaction"
import { Layer } from "effect"
import { TimerStore } from "../src/ports/timer-store.ts"
import { timerStoreContract } from "./timer-store.contract.ts"

timerStoreContract("in memory", Layer.merge(TimerStore.layerMemory, Transaction.layerMemory))
