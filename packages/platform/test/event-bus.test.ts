import { EventBusPort } from "../src/event-bus.ts"
import { eventBusContract } from "./event-bus.contract.ts"

eventBusContract("in memory", EventBusPort.layerMemory)
