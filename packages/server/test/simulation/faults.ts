import { EventBusPort } from "@event-service-agent/platform/event-bus"
import { Outbox } from "@event-service-agent/platform/outbox"
import { StorageError } from "@event-service-agent/platform/storage-error"
import { Transaction, UnitOfWork } from "@event-service-agent/platform/transaction"
import type { Consumer } from "@event-service-agent/schemas/envelope"
import { catalogue, type Message } from "@event-service-agent/schemas/messages/catalogue"
import { Cause, Context, Effect, Exit } from "effect"
import type { Storage } from "./program.ts"
import type { Process } from "./simulator.ts"
import type { World } from "./world.ts"

/** More would let the backoff outlast the other faults, and in the end bury the message. */
const HANDLER_FAILURES_MAX = 3
const REDELIVERY_MS_MAX = 5_000

type Handle = (message: Message) => Effect.Effect<void, unknown, UnitOfWork>

/** Statements fail, in the middle of units. */
export const withFaultyOutbox = (sound: Context.Context<Storage>, world: World) => {
  const outbox = Context.get(sound, Outbox)
  const faulty: Outbox["Service"] = {
    ...outbox,
    settle: (consumer, seq) =>
      Effect.suspend(() => {
        world.settledSeq = seq
        return outbox.settle(consumer, seq)
      }),
    append: Effect.fnUntraced(function* (entries) {
      if (world.strikes("a statement fails"))
        return yield* new StorageError({ operation: "append", cause: "simulated" })
      const firstSeq = yield* outbox.append(entries)
      if (world.strikes("a statement fails"))
        return yield* new StorageError({ operation: "append", cause: "simulated" })
      return firstSeq
    })
  }
  return Context.add(sound, Outbox, faulty)
}

/** Handlers fail, run twice in their unit, and run again later, as with a broker that sends a message again. */
export const withFaultyBus = (sound: Context.Context<Storage | EventBusPort>, world: World, process: Process) => {
  const bus = Context.get(sound, EventBusPort)
  const outbox = Context.get(sound, Outbox)
  const transaction = Context.get(sound, Transaction)
  const failures = new Map<string, number>()

  const fail = Effect.fnUntraced(function* (message: Message) {
    const name = `${message.type} ${message.aggregateId}`
    const count = (failures.get(name) ?? 0) + 1
    if (count > HANDLER_FAILURES_MAX || !world.strikes("a handler fails")) return
    failures.set(name, count)
    return yield* Effect.fail("a handler failed")
  })

  /** The delivery row decides, as it does for every transport. */
  const redeliver = Effect.fnUntraced(function* (consumer: Consumer, message: Message, handle: Handle) {
    const unit = yield* UnitOfWork
    const services = yield* Effect.context<never>()
    const seq = world.settledSeq
    const again = Effect.gen(function* () {
      if (yield* outbox.settle(consumer, seq)) yield* handle(message)
    }).pipe(transaction.run, Effect.provideContext(services))
    const come = () =>
      process.fork(again, (exit) => {
        if (Exit.isFailure(exit) && !(Cause.squash(exit.cause) instanceof StorageError)) {
          world.alarms.push(`a repeated ${message.type} failed: ${Cause.pretty(exit.cause)}`)
        }
      })
    unit.afterCommit(Effect.sync(() => world.simulator.after(world.random.between(0, REDELIVERY_MS_MAX), come)))
  })

  const repeated = (consumer: Consumer, handle: Handle): Handle =>
    Effect.fnUntraced(function* (message: Message) {
      yield* fail(message)
      yield* handle(message)
      if (world.happens("a handler runs twice")) yield* handle(message)
      if (world.happens("a handled message comes again")) yield* redeliver(consumer, message, handle)
      yield* fail(message)
    })

  const faulty: EventBusPort["Service"] = {
    ...bus,
    publish: Effect.fnUntraced(function* (drafts) {
      const unit = yield* UnitOfWork
      for (const { type, payload, aggregateId } of drafts) {
        if (catalogue[type].kind === "event") continue
        const command = { type, payload, serviceCallId: aggregateId, afterSeq: world.disk.lastSeq() }
        world.commands.push(command)
        unit.onRollback(() => world.commands.splice(world.commands.indexOf(command), 1))
      }
      yield* bus.publish(drafts)
    }),
    subscribe: (consumer, handlers) =>
      bus.subscribe(
        consumer,
        mapHandlers(handlers, (handle) => repeated(consumer, handle))
      )
  }
  return Context.add(sound, EventBusPort, faulty)
}

/** The same types with handlers of the same kind, which TypeScript does not follow through the entries. */
const mapHandlers = <H>(handlers: H, change: (handle: Handle) => Handle): H =>
  Object.fromEntries(
    Object.entries(handlers as Record<string, Handle>).map(([type, handle]) => [type, change(handle)])
  ) as H
