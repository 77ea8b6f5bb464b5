import * as Execution from "@event-service-agent/execution/execution"
import { Layer } from "effect"
import { layer } from "../../src/layers.ts"
import { run } from "../../src/run.ts"
import { layerStopping } from "./stopping-vault.ts"

/** The program, but it stops itself before its first send. */
run((settings) => layer(settings, Execution.layer().pipe(Layer.provide(layerStopping(1)))))
