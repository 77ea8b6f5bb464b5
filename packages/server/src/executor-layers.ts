import * as FetchHttpClient from "@event-service-agent/adapters/http/fetch-http-client"
import { HostResolver } from "@event-service-agent/adapters/http/host-resolver"
import { Broker } from "@event-service-agent/adapters/nats/broker"
import * as ExecutorLink from "@event-service-agent/adapters/nats/executor-link"
import { verifyOwner } from "@event-service-agent/adapters/nats/topology"
import * as Executor from "@event-service-agent/execution/executor"
import { EgressPolicy } from "@event-service-agent/platform/egress-policy"
import { RequestVault } from "@event-service-agent/platform/request-vault"
import { Effect, Layer, References } from "effect"
import { InvalidSettings, type Settings } from "./config.ts"
import { layerLogs } from "./log-line.ts"
import { ownerOf } from "./nats-settings.ts"
import { readSecretKey } from "./secret-key.ts"
import { layerTracing } from "./tracing.ts"

/**
 * Execution's sending half: performs calls for an agent that runs elsewhere, over NATS and without a database.
 *
 * @param executor the module that performs calls; tests put failures between it and its ports
 */
export const layerExecutor = (
  settings: Settings,
  executor: ReturnType<typeof Executor.layer> = Executor.layer({ inFlightMax: settings.inFlightMax })
) =>
  Layer.unwrap(
    Effect.gen(function* () {
      const { nats } = settings
      if (nats === null) {
        const problem = "NATS_URL is missing: an executor gets its calls over NATS. Set it as the agent has it."
        return yield* new InvalidSettings({ problems: [problem] })
      }
      const secret = yield* readSecretKey(settings.secretKeyFile)
      const broker = Broker.layer({ ...nats, owner: ownerOf(secret) }, verifyOwner)
      const client = FetchHttpClient.layer.pipe(
        Layer.provide(HostResolver.layer),
        Layer.provideMerge(EgressPolicy.layer(settings.egressAllow))
      )
      return Layer.effectDiscard(sayReady(nats.servers)).pipe(
        Layer.provide(executor),
        Layer.provide(ExecutorLink.layer.pipe(Layer.provide(broker))),
        Layer.provide(Layer.merge(client, RequestVault.layer(secret)))
      )
    })
  ).pipe(Layer.provide(layerTracing(settings).pipe(Layer.provideMerge(layerLogs(settings)))))

/** Whatever the level: nothing else tells that it runs. */
const sayReady = (servers: ReadonlyArray<string>) =>
  Effect.logInfo("executor ready").pipe(
    Effect.annotateLogs({ nats: servers.join(", ") }),
    Effect.provideService(References.MinimumLogLevel, "Info"),
    Effect.andThen(
      Effect.addFinalizer(() => Effect.logInfo("stopping: calls under way may finish, a second signal cuts them off"))
    )
  )
