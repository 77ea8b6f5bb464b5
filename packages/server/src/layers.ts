import { BunHttpServer, ListenerScope } from "@event-service-agent/adapters/bun/http-server"
import * as Page from "@event-service-agent/adapters/bun/page"
import * as FetchHttpClient from "@event-service-agent/adapters/http/fetch-http-client"
import { HostResolver } from "@event-service-agent/adapters/http/host-resolver"
import * as SqliteApiKeyStore from "@event-service-agent/adapters/sqlite/api-key-store"
import * as SqliteAttemptStore from "@event-service-agent/adapters/sqlite/attempt-store"
import * as SqliteDatabase from "@event-service-agent/adapters/sqlite/database"
import * as SqliteEventLog from "@event-service-agent/adapters/sqlite/event-log"
import * as SqliteOutbox from "@event-service-agent/adapters/sqlite/outbox"
import * as SqliteRetention from "@event-service-agent/adapters/sqlite/retention"
import * as SqliteServiceCallReader from "@event-service-agent/adapters/sqlite/service-call-reader"
import * as SqliteServiceCallRepository from "@event-service-agent/adapters/sqlite/service-call-repository"
import * as SqliteStorageMetrics from "@event-service-agent/adapters/sqlite/storage-metrics"
import * as SqliteSubmissionStore from "@event-service-agent/adapters/sqlite/submission-store"
import * as SqliteTenantUsage from "@event-service-agent/adapters/sqlite/tenant-usage"
import * as SqliteTimerStore from "@event-service-agent/adapters/sqlite/timer-store"
import * as SqliteTransaction from "@event-service-agent/adapters/sqlite/transaction"
import * as SqliteWalTruncation from "@event-service-agent/adapters/sqlite/wal-truncation"
import * as Api from "@event-service-agent/api/api"
import { VERSION } from "@event-service-agent/api/contract"
import * as Execution from "@event-service-agent/execution/execution"
import * as Orchestration from "@event-service-agent/orchestration/orchestration"
import { type EgressAllow, EgressPolicy, parseEgressAllow } from "@event-service-agent/platform/egress-policy"
import { RequestVault } from "@event-service-agent/platform/request-vault"
import { Stopping } from "@event-service-agent/platform/stopping"
import { TimerPort } from "@event-service-agent/platform/timer-port"
import * as Timer from "@event-service-agent/timer/timer"
import { Effect, Layer, Result } from "effect"
import { HttpRouter } from "effect/http"
import { provideAdminKey } from "./admin-key.ts"
import { layer as layerBanner } from "./banner.ts"
import { isWildcard, type Settings } from "./config.ts"
import { serveEcho } from "./echo-target.ts"
import { layerLogs } from "./log-line.ts"
import { ownerOf } from "./nats-settings.ts"
import { layer as layerProcessMetrics } from "./process-metrics.ts"
import { checkSecretKey, loadSecretKey } from "./secret-key.ts"
import { layerTracing } from "./tracing.ts"
import { embedded, held, overNats } from "./transport.ts"

/**
 * The whole service. Whatever is provided is built first and released last, so that stopping drains from the edge in:
 * at most 1 s for requests, 20 s for calls, 2 s for each of three inboxes, 1 s for the listener, then 1 s for relays and
 * broker and 1 s for the last export of spans, which makes 30 s. Until the modules have stopped, the listener answers who reads.
 *
 * @param execution the module that performs calls; tests put failures between it and its ports
 * @param resolver finds the addresses of targets; tests have their own
 */
export const layer = (
  settings: Settings,
  execution: ReturnType<typeof Execution.layer> = Execution.layer({ isHere: settings.executesHere }),
  resolver: Layer.Layer<HostResolver> = HostResolver.layer
) =>
  Layer.unwrap(
    Effect.gen(function* () {
      const secret = yield* loadSecretKey(settings.secretKeyFile, settings.dbPath)
      const echoPort = settings.echoPort === null ? null : yield* serveEcho(settings.echoPort)
      const egressAllow = [...settings.egressAllow, ...allowEcho(echoPort)]
      const storage = layerStorage(settings.dbPath)
      const withinProcess = settings.sends ? embedded : held
      const transport =
        settings.nats === null ? withinProcess : overNats(settings.nats, ownerOf(secret), settings.executesHere)
      const platform = Layer.mergeAll(TimerPort.layer, FetchHttpClient.layer.pipe(Layer.provide(resolver))).pipe(
        Layer.provideMerge(transport.bus),
        Layer.provideMerge(Layer.mergeAll(storage, RequestVault.layer(secret), EgressPolicy.layer(egressAllow)))
      )
      return layerBanner(settings, echoPort).pipe(
        Layer.provide(layerProcessMetrics),
        Layer.provide(layerHttp(settings, echoPort)),
        Layer.provide(settings.isKeyed ? Layer.effectDiscard(provideAdminKey(settings.adminKeyFile)) : Layer.empty),
        Layer.provide(settings.sends ? SqliteRetention.layer(settings.retention) : Layer.empty),
        Layer.provide(Timer.layer),
        Layer.provide(settings.sends ? Layer.provide(transport.desk, execution) : Layer.empty),
        Layer.provide(Orchestration.layer(capsOf(settings))),
        Layer.provide(ListenerScope.layer),
        Layer.provide(Layer.effectDiscard(checkSecretKey(settings.secretKeyFile, settings.dbPath))),
        Layer.provide(platform)
      )
    })
  ).pipe(Layer.provide(layerTracing(settings).pipe(Layer.provideMerge(layerLogs(settings)))))

const layerStorage = (dbPath: string) =>
  Layer.mergeAll(
    SqliteTransaction.layer,
    SqliteApiKeyStore.layer,
    SqliteOutbox.layer,
    SqliteEventLog.layer,
    SqliteServiceCallRepository.layer,
    SqliteServiceCallReader.layer,
    SqliteTimerStore.layer,
    SqliteAttemptStore.layer,
    SqliteSubmissionStore.layer,
    SqliteTenantUsage.layer,
    SqliteWalTruncation.layer,
    Layer.provide(SqliteStorageMetrics.layer, SqliteTransaction.layer)
  ).pipe(Layer.provideMerge(SqliteDatabase.layer(dbPath)))

/** Without a place no call is released. */
const capsOf = ({ sends, inFlightMax, inFlightPerTenantMax }: Settings) =>
  sends ? { total: inFlightMax, perTenant: inFlightPerTenantMax } : { total: 0, perTenant: 0 }

const layerHttp = (settings: Settings, echoPort: number | null) => {
  const { host, port, allowedHosts, isKeyed, limits, nats } = settings
  return BunHttpServer.layer({ host, port }).pipe(
    Layer.provide(
      Api.layer({
        hosts: allowedHosts,
        acceptsAddresses: isWildcard(host),
        isKeyed,
        limits,
        caps: capsOf(settings),
        ...(nats === null ? {} : { eventPrefix: nats.prefix })
      })
    ),
    Layer.provide(Page.layer({ echoUrl: echoPort === null ? null : `http://127.0.0.1:${echoPort}`, version: VERSION })),
    Layer.provide(HttpRouter.layer),
    Layer.provide(Stopping.layer)
  )
}

const allowEcho = (port: number | null): EgressAllow =>
  port === null ? [] : Result.getOrThrow(parseEgressAllow(`127.0.0.1:${port},localhost:${port}`))
