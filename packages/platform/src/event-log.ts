import type { CorrelationId, ServiceCallId, TenantId } from "@event-service-agent/schemas/ids"
import type { MessageType } from "@event-service-agent/schemas/messages/catalogue"
import { Context, type DateTime, type Effect } from "effect"
import type { StorageError } from "./storage-error.ts"

/** Messages of all tenants that one read walks over. */
export const LOG_PAGE_MAX = 2_000
/** Events that one read gives: each may have 40 KB, and many may read at the same time. */
export const LOG_EVENTS_MAX = 100

/** A domain event of a service call, as the log has it. */
export interface LoggedEvent {
  /** Its place in the log: grows from event to event. */
  readonly seq: number
  readonly type: MessageType
  readonly serviceCallId: ServiceCallId
  readonly version: number
  readonly timestamp: DateTime.Utc
  readonly correlationId: CorrelationId
  /** Encoded, as plain data. */
  readonly payload: unknown
}

/** The log of all messages, for those who follow what happens to calls: committed states only, without a gap. */
export class EventLog extends Context.Service<
  EventLog,
  {
    /** The place of the last message. */
    readonly last: Effect.Effect<number, StorageError>
    /** The place of the last event that retention has deleted: whoever has read less has lost some. */
    readonly horizon: Effect.Effect<number, StorageError>
    /** The tenant's next events after a place, in order, at most `LOG_EVENTS_MAX`, and how far that went. */
    readonly after: (
      tenantId: TenantId,
      seq: number
    ) => Effect.Effect<{ readonly events: ReadonlyArray<LoggedEvent>; readonly readTo: number }, StorageError>
  }
>()("@event-service-agent/platform/EventLog") {}
