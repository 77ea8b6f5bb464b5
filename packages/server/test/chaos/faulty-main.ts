import { writeFileSync } from "node:fs"
import * as Execution from "@event-service-agent/execution/execution"
import { AttemptStore } from "@event-service-agent/execution/ports/attempt-store"
import { HttpClientPort } from "@event-service-agent/platform/http-client-port"
import { UnitOfWork } from "@event-service-agent/platform/transaction"
import { Effect, Layer } from "effect"
import { layer } from "../../src/layers.ts"
import { run } from "../../src/run.ts"
import type { Failpoint } from "./plan.ts"
import { sendFirst } from "./send-first.ts"

/**
 * The real program with failures between execution and its ports. The environment says which: CHAOS_FAILPOINT and
 * CHAOS_HIT, where and at which passing this process ends itself with SIGKILL, after it has written the failpoint's name
 * to the file CHAOS_FIRED; CHAOS_MUTANT=send-first makes a program that sends before it claims.
 */
const { CHAOS_FAILPOINT, CHAOS_HIT, CHAOS_FIRED, CHAOS_MUTANT } = process.env
let passed = 0

const pass = (point: Failpoint): void => {
  if (point !== CHAOS_FAILPOINT || ++passed !== Number(CHAOS_HIT)) return
  writeFileSync(CHAOS_FIRED ?? "", point)
  process.kill(process.pid, "SIGKILL")
}
const at = (point: Failpoint) => Effect.sync(() => pass(point))

const layerClient = Layer.effect(
  HttpClientPort,
  Effect.map(HttpClientPort, (client) =>
    HttpClientPort.of({
      send: (request, options) =>
        at("after-claim-commit").pipe(Effect.andThen(client.send(request, options)), Effect.tap(at("after-response")))
    })
  )
)

const layerAttempts = Layer.effect(
  AttemptStore,
  Effect.map(AttemptStore, (store) =>
    AttemptStore.of({
      ...store,
      claim: (attempt) => Effect.tap(store.claim(attempt), at("before-claim-commit")),
      close: Effect.fnUntraced(function* (key, number, outcome) {
        const isClosed = yield* store.close(key, number, outcome)
        const isLost = outcome._tag === "Failed" && outcome.errorMeta.kind === "OutcomeUnknown"
        pass(isLost ? "during-recovery" : "before-outcome-commit")
        const unit = yield* UnitOfWork
        if (!isLost) unit.afterCommit(at("after-outcome-commit"))
        return isClosed
      })
    })
  )
)

const execution = Execution.layer().pipe(Layer.provide([layerClient, layerAttempts]))

run((settings) => layer(settings, CHAOS_MUTANT === "send-first" ? sendFirst(execution) : execution))
