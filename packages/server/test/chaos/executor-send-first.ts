import * as Executor from "@event-service-agent/execution/executor"
import { ExecutorLink, type Start } from "@event-service-agent/execution/ports/executor-link"
import { HttpClientPort } from "@event-service-agent/platform/http-client-port"
import { keyOf } from "@event-service-agent/platform/outbox"
import { RequestVault } from "@event-service-agent/platform/request-vault"
import { Effect, Layer } from "effect"
import { layerExecutor } from "../../src/executor-layers.ts"
import { run } from "../../src/run.ts"

type Outcome = ReturnType<HttpClientPort["Service"]["send"]>

/**
 * A mutant: an executor that sends each start as soon as it has it, and asks for the attempt only then. To prove that
 * the harness sees it.
 */
const sendFirst = (executor: ReturnType<typeof Executor.layer>) =>
  Layer.unwrap(
    Effect.gen(function* () {
      const link = yield* ExecutorLink
      const client = yield* HttpClientPort
      const vault = yield* RequestVault
      /** What became of the sends, by their Idempotency-Key. */
      const outcomes = new Map<string, Outcome>()

      const send = Effect.fnUntraced(function* ({ message }: Start) {
        const { sealed, timeoutMs } = message.payload
        const key = message.aggregateId
        if (sealed === null || outcomes.has(key)) return
        const request = yield* vault.open(keyOf(message), sealed)
        const headers = { ...request.headers, "Idempotency-Key": key }
        outcomes.set(key, Effect.never)
        const exit = yield* Effect.exit(client.send({ ...request, headers }, { timeoutMs }))
        outcomes.set(key, exit)
      }, Effect.orDie)

      const layerLink = Layer.succeed(ExecutorLink, {
        ...link,
        subscribe: (handle, options) => link.subscribe((start) => Effect.andThen(send(start), handle(start)), options)
      })
      const layerClient = Layer.succeed(HttpClientPort, {
        send: (request, options) =>
          outcomes.get(request.headers?.["Idempotency-Key"] ?? "") ?? client.send(request, options)
      })
      return executor.pipe(Layer.provide([layerLink, layerClient]))
    })
  )

run((settings) => layerExecutor(settings, sendFirst(Executor.layer({ inFlightMax: settings.inFlightMax }))))
