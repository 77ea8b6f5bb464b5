import { EventBusPort } from "../src/event-bus.ts"
import { eventBusContract } from "./event-bus.contract.ts"
import { eventBusAtOnceContract } from "./event-bus-at-once.contract.ts"

eventBusContract("in memory", EventBusPort.layerMemory)
eventBusAtOnceContract("in memory", EventBusPort.layerMemory)
