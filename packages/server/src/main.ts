import { layer } from "./layers.ts"
import { run } from "./run.ts"

run((settings) => layer(settings))
