import { Transaction } from "@event-service-agent/platform/transaction"
import { Layer } from "effect"
import { SubmissionStore } from "../src/ports/submission-store.ts"
import { submissionStoreContract } from "./submission-store.contract.ts"

submissionStoreContract("in memory", Layer.merge(SubmissionStore.layerMemory, Transaction.layerMemory))
