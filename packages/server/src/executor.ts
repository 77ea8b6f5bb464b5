import { layerExecutor } from "./executor-layers.ts"
import { run } from "./run.ts"

run(layerExecutor)
