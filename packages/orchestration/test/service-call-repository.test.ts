import { Transaction } from "@event-service-agent/platform/transaction"
import { Layer } from "effect"
import { ServiceCallRepository } from "../src/ports/service-call-repository.ts"
import { serviceCallRepositoryContract } from "./service-call-repository.contract.ts"

serviceCallRepositoryContract("in memory", Layer.merge(ServiceCallRepository.layerMemory, Transaction.layerMemory))
