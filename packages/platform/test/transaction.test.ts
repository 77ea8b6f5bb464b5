import { Layer } from "effect"
import { Outbox } from "../src/outbox.ts"
import { Transaction } from "../src/transaction.ts"
import { transactionContract } from "./transaction.contract.ts"

transactionContract("in memory", Layer.merge(Transaction.layerMemory, Outbox.layerMemory))
