import { RequestVault } from "@event-service-agent/platform/request-vault"
import { Effect, Layer } from "effect"

/** What the program logs before it stops itself. */
export const STOPPING = "stopping itself"
/** Long enough for the signal to take effect before the next step. */
const STOPS_WITHIN_MS = 100

/**
 * Stops the process itself with SIGSTOP once, after the claim of an attempt and before its send: where the request is
 * opened. Whoever started it has to send SIGCONT.
 *
 * @param attempt at which one, counted from 1
 */
export const layerStopping = (attempt: number) =>
  Layer.effect(
    RequestVault,
    Effect.map(RequestVault, (vault) => {
      let opened = 0
      const stop = Effect.sync(() => {
        if (++opened !== attempt) return
        console.log(JSON.stringify({ message: STOPPING, level: "INFO", annotations: {} }))
        process.kill(process.pid, "SIGSTOP")
        Bun.sleepSync(STOPS_WITHIN_MS)
      })
      return RequestVault.of({ ...vault, open: (key, sealed) => Effect.andThen(stop, vault.open(key, sealed)) })
    })
  )
