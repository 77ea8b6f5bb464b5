import * as Execution from "@event-service-agent/execution/execution"
import { RequestVault } from "@event-service-agent/platform/request-vault"
import { Effect, Layer } from "effect"
import { layer } from "../../src/layers.ts"
import { run } from "../../src/run.ts"

/** Long enough for the signal to take effect before the next step. */
const STOPS_WITHIN_MS = 100

/**
 * The program, but it stops itself with SIGSTOP once, after the claim of its first attempt and before the send: where
 * the request is opened. Whoever started it has to send SIGCONT.
 */
const layerStopping = Layer.effect(
  RequestVault,
  Effect.map(RequestVault, (vault) => {
    let hasStopped = false
    const stop = Effect.sync(() => {
      if (hasStopped) return
      hasStopped = true
      console.log(JSON.stringify({ message: "stopping itself", level: "INFO", annotations: {} }))
      process.kill(process.pid, "SIGSTOP")
      Bun.sleepSync(STOPS_WITHIN_MS)
    })
    return RequestVault.of({ ...vault, open: (key, sealed) => Effect.andThen(stop, vault.open(key, sealed)) })
  })
)

run((settings) => layer(settings, Execution.layer().pipe(Layer.provide(layerStopping))))
