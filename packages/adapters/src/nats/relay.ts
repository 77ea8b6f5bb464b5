import type { Relay } from "@event-service-agent/platform/outbox"
import { retryStorage } from "@event-service-agent/platform/storage-error"
import { Transaction } from "@event-service-agent/platform/transaction"
import { callName } from "@event-service-agent/schemas/ids"
import { Clock, Effect, Latch, Metric, Option } from "effect"
import { Broker, type BrokerClient } from "./broker.ts"
import { type RelayRow, RelayStore } from "./relay-store.ts"
import { toOutgoing } from "./wire.ts"

/** Messages under way to the broker at the same time, at most one of each call. */
export const RELAY_BATCH_MAX = 256
/** How long the broker may take to say that it has a message. After that it gets it again, under the same id. */
export const PUBLISH_TIMEOUT_MS = 5_000
const RETRY_MS = 250
const BACKLOG_LOOK_MS = 5_000
/** How long a service that stops goes on publishing. */
const RELAY_DRAIN_MS = 400

const lag = Metric.gauge("esa_outbox_relay_lag_messages", {
  description: "Messages in the outbox that NATS does not have yet"
})
const age = Metric.gauge("esa_outbox_relay_oldest_age_seconds", {
  description: "Age of the oldest message in the outbox that NATS does not have yet"
})

/**
 * Publishes what waits in the outbox, in order within each call: a message goes out when the broker has the one before
 * it, and its row goes when the broker has it. Returns what wakes it, and why it is stuck, if it is.
 */
export const makeRelay = Effect.fnUntraced(function* (relay: Relay) {
  const store = yield* RelayStore
  const transaction = yield* Transaction
  const broker = yield* Broker
  const hasWork = Latch.makeUnsafe(true)
  const isIdle = Latch.makeUnsafe()
  let failure: string | undefined

  /** Lets go of what the broker has, and reads what is next. */
  const turn = (published: ReadonlyArray<RelayRow>) =>
    retryStorage(
      transaction.run(
        Effect.gen(function* () {
          const now = yield* Clock.currentTimeMillis
          if (published.length > 0) yield* store.settle(relay, published, now)
          return yield* store.waiting(relay, RELAY_BATCH_MAX)
        })
      )
    )

  const publish = Effect.fnUntraced(function* (client: BrokerClient, rows: ReadonlyArray<RelayRow>) {
    const lanes = [...Map.groupBy(rows, callName).values()]
    const results = yield* Effect.promise(() =>
      Promise.all(lanes.map((lane) => publishInOrder(client, relay, broker.prefix, lane)))
    )
    const problem = results.find((result) => result.problem !== undefined)?.problem
    if (problem !== undefined && problem !== failure) {
      yield* Effect.logWarning(`${relay}: NATS does not take messages, they wait in the outbox`, problem)
    }
    if (problem === undefined && failure !== undefined) yield* Effect.logInfo(`${relay}: NATS takes messages again`)
    failure = problem
    return results.flatMap((result) => result.published)
  })

  const work = Effect.gen(function* () {
    let published: ReadonlyArray<RelayRow> = []
    while (true) {
      hasWork.closeUnsafe()
      const rows = yield* turn(published)
      published = []
      if (rows.length === 0) {
        isIdle.openUnsafe()
        yield* hasWork.await
        isIdle.closeUnsafe()
        continue
      }
      published = yield* publish(yield* broker.ready, rows)
      if (failure !== undefined) {
        yield* broker.check
        yield* Effect.sleep(RETRY_MS)
      }
    }
  })

  const measure = Effect.gen(function* () {
    const { count, oldestAt } = yield* store.backlog(relay)
    const now = yield* Clock.currentTimeMillis
    yield* Metric.update(Metric.withAttributes(lag, { relay }), count)
    yield* Metric.update(Metric.withAttributes(age, { relay }), oldestAt === null ? 0 : (now - oldestAt) / 1_000)
    yield* Effect.sleep(BACKLOG_LOOK_MS)
  })

  yield* Effect.forkScoped(work)
  yield* Effect.forkScoped(Effect.forever(retryStorage(measure)))
  yield* Effect.addFinalizer(() => Effect.timeoutOption(Effect.interruptible(isIdle.await), RELAY_DRAIN_MS))
  return {
    wake: Effect.sync(() => hasWork.openUnsafe()),
    trouble: Effect.sync(() =>
      failure === undefined ? Option.none() : Option.some(`NATS does not take messages: ${failure}`)
    )
  }
})

/** One call's messages, each when the broker has the one before it. What follows on a failure is not sent. */
const publishInOrder = async (
  { connection, stream }: BrokerClient,
  relay: Relay,
  prefix: string,
  rows: ReadonlyArray<RelayRow>
) => {
  const published: Array<RelayRow> = []
  const payloadBytesMax = connection.info?.max_payload ?? 0
  for (const row of rows) {
    try {
      const { subject, payload, headers, publishId } = toOutgoing(relay, prefix, row, payloadBytesMax)
      await stream.publish(subject, payload, { headers, msgID: publishId, timeout: PUBLISH_TIMEOUT_MS })
      published.push(row)
    } catch (error) {
      return { published, problem: error instanceof Error ? error.message : String(error) }
    }
  }
  return { published, problem: undefined }
}
