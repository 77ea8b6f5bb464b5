import * as SqliteAttemptStore from "@event-service-agent/adapters/sqlite/attempt-store"
import * as SqliteOutbox from "@event-service-agent/adapters/sqlite/outbox"
import * as SqliteServiceCallRepository from "@event-service-agent/adapters/sqlite/service-call-repository"
import * as SqliteSubmissionStore from "@event-service-agent/adapters/sqlite/submission-store"
import * as SqliteTimerStore from "@event-service-agent/adapters/sqlite/timer-store"
import type { SubmissionStore } from "@event-service-agent/api/ports/submission-store"
import * as Execution from "@event-service-agent/execution/execution"
import type { AttemptStore } from "@event-service-agent/execution/ports/attempt-store"
import * as Orchestration from "@event-service-agent/orchestration/orchestration"
import type { ServiceCallRepository } from "@event-service-agent/orchestration/ports/service-call-repository"
import { EventBusPort } from "@event-service-agent/platform/event-bus"
import { HttpClientPort } from "@event-service-agent/platform/http-client-port"
import type { Outbox } from "@event-service-agent/platform/outbox"
import { RequestVault } from "@event-service-agent/platform/request-vault"
import { TimerPort } from "@event-service-agent/platform/timer-port"
import { makeTransaction, Transaction } from "@event-service-agent/platform/transaction"
import type { TimerStore } from "@event-service-agent/timer/ports/timer-store"
import * as Timer from "@event-service-agent/timer/timer"
import { Cause, type Context, Effect, Layer, Logger, Redacted } from "effect"
import { journalOf } from "./disk.ts"
import { withFaultyBus, withFaultyOutbox } from "./faults.ts"
import type { Process } from "./simulator.ts"
import type { World } from "./world.ts"

const SECRET = Redacted.make(new Uint8Array(32).fill(7))

/** What a process keeps on its disk. */
export type Storage = Transaction | Outbox | ServiceCallRepository | TimerStore | AttemptStore | SubmissionStore
export type Services = Storage | EventBusPort | RequestVault

/** Puts something between the modules and their storage: a mistake that the simulation has to find. */
export type Mutant = (storage: Context.Context<Storage>) => Context.Context<Storage>

/** The program in the order of `server/layers.ts`, without the edge, and with faults between its parts. */
export const layerProgram = (world: World, process: Process): Layer.Layer<Services, unknown> => {
  const stores = Layer.mergeAll(
    SqliteOutbox.layer,
    SqliteServiceCallRepository.layer,
    SqliteTimerStore.layer,
    SqliteAttemptStore.layer,
    SqliteSubmissionStore.layer
  ).pipe(Layer.provide(world.disk.layer))
  const transaction = Layer.effect(Transaction, makeTransaction(journalOf(world, process)))
  const storage = changed(Layer.merge(stores, transaction), (sound) => world.mutant(withFaultyOutbox(sound, world)))
  const bus = EventBusPort.layerEmbedded.pipe(Layer.provideMerge(storage))
  const platform = Layer.mergeAll(TimerPort.layer, Layer.succeed(HttpClientPort, world.target.client(process))).pipe(
    Layer.provideMerge(changed(bus, (sound) => withFaultyBus(sound, world, process))),
    Layer.provideMerge(RequestVault.layer(SECRET))
  )
  return Timer.layer.pipe(
    Layer.provide(Execution.layer({ processId: `process ${world.starts.length}` })),
    Layer.provide(Orchestration.layer(world.plan.caps)),
    Layer.provideMerge(platform)
  )
}

/** Nothing that the modules report as an error may happen, but for what the storage refused. */
export const loggerTo = (alarms: Array<string>) =>
  Logger.make<unknown, void>(({ cause, message }) => {
    const text = `${Array.isArray(message) ? message.map(String).join(" ") : String(message)} ${Cause.pretty(cause)}`
    if (!text.includes("StorageError")) alarms.push(`the log has an error: ${text}`)
  })

const changed = <Out, E, In>(
  layer: Layer.Layer<Out, E, In>,
  change: (context: Context.Context<Out>) => Context.Context<Out>
) => Layer.effectContext(Effect.map(Effect.context<Out>(), change)).pipe(Layer.provide(layer))
