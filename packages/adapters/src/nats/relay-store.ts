import type { Delivery, Relay } from "@event-service-agent/platform/outbox"
import type { StorageError } from "@event-service-agent/platform/storage-error"
import type { UnitOfWork } from "@event-service-agent/platform/transaction"
import type { Consumer } from "@event-service-agent/schemas/envelope"
import type {
  CorrelationId,
  MessageId,
  ServiceCallId,
  ServiceCallKey,
  TenantId
} from "@event-service-agent/schemas/ids"
import type { MessageType } from "@event-service-agent/schemas/messages/catalogue"
import { Context, type Effect } from "effect"

/** A message that has to be published, as it is stored. */
export interface RelayRow {
  readonly seq: number
  /** When it was decided to publish it once more, milliseconds since 1970; 0 for the first time. */
  readonly again: number
  readonly messageId: MessageId
  readonly type: MessageType
  readonly tenantId: TenantId
  readonly serviceCallId: ServiceCallId
  readonly version: number
  /** Milliseconds since 1970. */
  readonly timestamp: number
  readonly correlationId: CorrelationId
  readonly causationId: MessageId | null
  /** JSON. A sealed request stands beside it. */
  readonly payload: string
  readonly sealed: Uint8Array | null
  /** The span that published it, if that was exported. */
  readonly traceparent: string | null
}

/** What a consumer has to handle first of a call. */
export type Oldest =
  | { readonly _tag: "Nothing" }
  | { readonly _tag: "Delivery"; readonly delivery: Delivery }
  /** It could not be read, and is a dead letter now. */
  | { readonly _tag: "Unreadable"; readonly seq: number }

/** What has to be published, and what is known of what was. All of it crosses tenants. */
export class RelayStore extends Context.Service<
  RelayStore,
  {
    /** Oldest first, at most `limit` and about `READ_BYTES_MAX`. */
    readonly waiting: (relay: Relay, limit: number) => Effect.Effect<ReadonlyArray<RelayRow>, StorageError, UnitOfWork>
    /** The broker has these. What is to be published once more since they were read, stays. */
    readonly settle: (
      relay: Relay,
      rows: ReadonlyArray<Pick<RelayRow, "seq" | "again">>,
      now: number
    ) => Effect.Effect<void, StorageError, UnitOfWork>
    readonly oldest: (consumer: Consumer, key: ServiceCallKey) => Effect.Effect<Oldest, StorageError, UnitOfWork>
    /**
     * Has what a module was sent before, and has not handled, published once more; not what waits behind a dead letter.
     * Returns how many, at most `AGAIN_MAX`.
     */
    readonly publishUnhandled: (
      consumer: Consumer,
      sentBefore: number,
      now: number
    ) => Effect.Effect<number, StorageError, UnitOfWork>
    /** The same for all that a module has not handled, or all of one call, whether it was sent or not. */
    readonly publishAll: (
      consumer: Consumer,
      key: ServiceCallKey | undefined,
      now: number
    ) => Effect.Effect<void, StorageError, UnitOfWork>
    /**
     * Has some of the events published once more that were written at `since` or later, in order of seq. `last` is
     * where to go on after, `undefined` at the end.
     */
    readonly publishEvents: (
      since: number,
      after: number,
      now: number
    ) => Effect.Effect<{ readonly count: number; readonly last: number | undefined }, StorageError, UnitOfWork>
    /** When the oldest message was written that a module has yet to handle, behind no dead letter; milliseconds since 1970. */
    readonly unhandledSince: (consumer: Consumer) => Effect.Effect<number | null, StorageError>
    /** How many messages wait for the broker, and when the oldest was written, in milliseconds since 1970. */
    readonly backlog: (
      relay: Relay
    ) => Effect.Effect<{ readonly count: number; readonly oldestAt: number | null }, StorageError>
  }
>()("@event-service-agent/adapters/RelayStore") {}
