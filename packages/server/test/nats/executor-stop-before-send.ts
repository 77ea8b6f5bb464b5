import * as Executor from "@event-service-agent/execution/executor"
import { Layer } from "effect"
import { layerExecutor } from "../../src/executor-layers.ts"
import { run } from "../../src/run.ts"
import { layerStopping } from "../faults/stopping-vault.ts"

/** The executor, but it stops itself before one of its sends: STOP_AT says which, counted from 1. */
const layerStoppingAt = layerStopping(Number(process.env["STOP_AT"]))

run((settings) =>
  layerExecutor(settings, Executor.layer({ inFlightMax: settings.inFlightMax }).pipe(Layer.provide(layerStoppingAt)))
)
