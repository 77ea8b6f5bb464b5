import { Broker, type BrokerRefused } from "@event-service-agent/adapters/nats/broker"
import * as ExecutorDesk from "@event-service-agent/adapters/nats/executor-desk"
import * as JetStreamBus from "@event-service-agent/adapters/nats/jetstream-bus"
import type { IncompatibleBroker } from "@event-service-agent/adapters/nats/topology"
import type { ReadConnection, WriteConnection } from "@event-service-agent/adapters/sqlite/database"
import { installationId } from "@event-service-agent/adapters/sqlite/installation"
import * as SqliteRelayStore from "@event-service-agent/adapters/sqlite/relay-store"
import type { AttemptDesk } from "@event-service-agent/execution/attempt-desk"
import { EventBusPort } from "@event-service-agent/platform/event-bus"
import type { Outbox } from "@event-service-agent/platform/outbox"
import type { StorageError } from "@event-service-agent/platform/storage-error"
import type { Transaction } from "@event-service-agent/platform/transaction"
import { Effect, Layer } from "effect"
import type { NatsSettings } from "./nats-settings.ts"

/** How messages travel. Either way they are stored first. */
export interface Transport {
  readonly bus: Layer.Layer<
    EventBusPort,
    BrokerRefused | IncompatibleBroker | StorageError,
    Outbox | Transaction | ReadConnection | WriteConnection
  >
  /** Where executors elsewhere ask. */
  readonly desk: Layer.Layer<
    never,
    BrokerRefused | IncompatibleBroker | StorageError,
    AttemptDesk | Outbox | Transaction | ReadConnection | WriteConnection
  >
}

/** Within the process. */
export const embedded: Transport = {
  bus: Layer.provide(EventBusPort.layerEmbedded, SqliteRelayStore.layerNoRelay),
  desk: Layer.empty
}

/** Within the process, where calls wait and nobody performs them. */
export const held: Transport = {
  bus: Layer.effect(
    EventBusPort,
    Effect.map(EventBusPort, (bus) =>
      EventBusPort.of({
        ...bus,
        health: Effect.succeed([{ part: "executors", trouble: "Nothing is sent: SENDING is off" }])
      })
    )
  ).pipe(Layer.provide(embedded.bus)),
  desk: Layer.empty
}

/**
 * @param owner names who has the secret key; with the installation's id it names the one agent that the streams are of
 * @param executesHere whether this process sends, too
 */
export const overNats = (nats: NatsSettings, owner: string, executesHere: boolean): Transport => {
  const connection = Layer.unwrap(
    Effect.map(installationId, (id) => Broker.layer({ ...nats, owner: `${owner} ${id}` }))
  )
  const broker = Layer.merge(connection, SqliteRelayStore.layer)
  return {
    bus: Layer.provide(JetStreamBus.layer({ ...nats, consumedElsewhere: executesHere ? [] : ["execution"] }), broker),
    desk: Layer.provide(ExecutorDesk.layer(executesHere), broker)
  }
}
