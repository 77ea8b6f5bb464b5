import type { ServiceCallKey } from "@event-service-agent/schemas/ids"
import type { MessageDraft } from "@event-service-agent/schemas/messages/catalogue"
import { Context, type DateTime, Effect, Layer } from "effect"
import { EventBusPort } from "./event-bus.ts"
import type { StorageError } from "./storage-error.ts"
import type { UnitOfWork } from "./transaction.ts"

/** The part of an envelope that says where a message comes from. */
export type Origin = Pick<MessageDraft, "version" | "timestamp" | "correlationId" | "causationId">

/** One durable one-shot timer for each service call. `DueTimeReached` answers, never before the due time. */
export class TimerPort extends Context.Service<
  TimerPort,
  {
    /** Arms the call's timer, or moves it to another due time. */
    readonly schedule: (
      key: ServiceCallKey,
      dueAt: DateTime.Utc,
      origin: Origin
    ) => Effect.Effect<void, StorageError, UnitOfWork>
    /** Disarms the call's timer; nothing happens when it has fired or never was. */
    readonly cancel: (key: ServiceCallKey, origin: Origin) => Effect.Effect<void, StorageError, UnitOfWork>
  }
>()("@event-service-agent/platform/TimerPort") {
  /** Commands to the timer module, over the bus. */
  static readonly layer = Layer.effect(
    TimerPort,
    Effect.gen(function* () {
      const bus = yield* EventBusPort
      const envelope = (key: ServiceCallKey, origin: Origin) => ({
        ...origin,
        tenantId: key.tenantId,
        aggregateType: "ServiceCall" as const,
        aggregateId: key.serviceCallId
      })
      return {
        schedule: (key, dueAt, origin) =>
          bus.publish([{ ...envelope(key, origin), type: "ScheduleTimer", payload: { dueAt } }]),
        cancel: (key, origin) => bus.publish([{ ...envelope(key, origin), type: "CancelTimer", payload: {} }])
      }
    })
  )
}
