import { join } from "node:path"
import { Broker } from "@event-service-agent/adapters/nats/broker"
import * as JetStreamBus from "@event-service-agent/adapters/nats/jetstream-bus"
import * as SqliteDatabase from "@event-service-agent/adapters/sqlite/database"
import * as SqliteOutbox from "@event-service-agent/adapters/sqlite/outbox"
import * as SqliteRelayStore from "@event-service-agent/adapters/sqlite/relay-store"
import * as SqliteTransaction from "@event-service-agent/adapters/sqlite/transaction"
import { eventBusContract } from "@event-service-agent/platform/event-bus.contract"
import { Effect, Layer } from "effect"
import { afterAll, beforeAll } from "vitest"
import { removeLeftovers, temporaryFolder } from "../process.ts"
import { missingNats, NatsServer } from "./nats-server.ts"

const RUNS = 8

let server: NatsServer | undefined
let prefixes = 0
beforeAll(async () => {
  if (missingNats === undefined) server = await NatsServer.start()
})
afterAll(async () => {
  await server?.[Symbol.asyncDispose]()
  removeLeftovers()
})

const layer = Layer.unwrap(
  Effect.gen(function* () {
    const folder = yield* Effect.acquireRelease(Effect.sync(temporaryFolder), (one) =>
      Effect.sync(() => one[Symbol.dispose]())
    )
    const storage = Layer.mergeAll(SqliteTransaction.layer, SqliteOutbox.layer, SqliteRelayStore.layer).pipe(
      Layer.provide(SqliteDatabase.layer(join(folder.path, "service.db")))
    )
    const broker = Broker.layer({
      servers: [server?.url ?? ""],
      prefix: `test-${prefixes++}`,
      replicas: 1,
      streamBytesMax: 268_435_456,
      owner: "test",
      user: null,
      password: null,
      credentialsFile: null,
      tls: { caFile: null, certFile: null, keyFile: null }
    })
    return JetStreamBus.layer({ republishAfterMs: 60_000 }).pipe(Layer.provide(broker), Layer.provideMerge(storage))
  })
)

eventBusContract("over NATS JetStream", layer, {
  runs: RUNS,
  ...(missingNats === undefined ? {} : { missing: missingNats })
})
