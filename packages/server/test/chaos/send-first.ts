import type * as Execution from "@event-service-agent/execution/execution"
import { EventBusPort } from "@event-service-agent/platform/event-bus"
import { HttpClientPort } from "@event-service-agent/platform/http-client-port"
import { keyOf } from "@event-service-agent/platform/outbox"
import { RequestVault } from "@event-service-agent/platform/request-vault"
import type { Message } from "@event-service-agent/schemas/messages/catalogue"
import { Effect, Layer } from "effect"

type ExecutionLayer = ReturnType<typeof Execution.layer>
type Outcome = ReturnType<HttpClientPort["Service"]["send"]>

/**
 * A mutant: the execution module gets its `StartExecution` only once the request has been sent, so the commit of the
 * claim comes after the send. A crash in between sends the request again. To prove that the harness sees it.
 */
export const sendFirst = (execution: ExecutionLayer): ExecutionLayer =>
  Layer.unwrap(
    Effect.gen(function* () {
      const bus = yield* EventBusPort
      const client = yield* HttpClientPort
      const vault = yield* RequestVault
      /** What became of the sends, by their Idempotency-Key; `null` while they run. */
      const outcomes = new Map<string, Outcome | null>()
      /** The messages that have come before. At first a message may be in the unit that publishes it, which fails then. */
      const met = new Set<string>()

      const send = Effect.fnUntraced(function* (message: Message<"StartExecution">) {
        const { sealed, timeoutMs } = message.payload
        if (sealed === null) return
        const key = message.aggregateId
        const request = yield* vault.open(keyOf(message), sealed)
        const headers = { ...request.headers, "Idempotency-Key": key }
        const exit = yield* Effect.exit(client.send({ ...request, headers }, { timeoutMs }))
        outcomes.set(key, exit)
      })

      /** Fails the message, which brings it back later, until there is an outcome. */
      const delay = (message: Message<"StartExecution">, handle: () => Effect.Effect<void, unknown, unknown>) =>
        Effect.suspend(() => {
          const outcome = outcomes.get(message.aggregateId)
          if (outcome) return handle()
          if (outcome === undefined && met.has(message.messageId)) {
            outcomes.set(message.aggregateId, null)
            Effect.runFork(send(message))
          }
          met.add(message.messageId)
          return Effect.fail(new Error("the answer is not there yet"))
        })

      const layerBus = Layer.succeed(EventBusPort, {
        ...bus,
        subscribe: (consumer, handlers) => bus.subscribe(consumer, withStart(handlers, delay))
      })
      const layerClient = Layer.succeed(HttpClientPort, {
        send: (request, options) =>
          outcomes.get(request.headers?.["Idempotency-Key"] ?? "") ?? client.send(request, options)
      })
      return execution.pipe(Layer.provide([layerBus, layerClient]))
    })
  )

/** The same handlers, but for what goes around the one of `StartExecution`. */
const withStart = <H extends object>(
  handlers: H,
  around: (
    message: Message<"StartExecution">,
    handle: () => Effect.Effect<void, unknown, unknown>
  ) => Effect.Effect<void, unknown, unknown>
): H => {
  const all: object = handlers
  return new Proxy(handlers, {
    get: (_, type) => {
      const handle = Reflect.get(all, type)
      return type === "StartExecution"
        ? (message: Message<"StartExecution">) => around(message, () => handle(message))
        : handle
    }
  })
}
