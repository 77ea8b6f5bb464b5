import type { StorageError } from "@event-service-agent/platform/storage-error"
import type { Consumer } from "@event-service-agent/schemas/envelope"
import type { OnUnknown, RedactedRequest } from "@event-service-agent/schemas/http-request"
import type { CorrelationId, ServiceCallId, ServiceCallKey, TenantId } from "@event-service-agent/schemas/ids"
import type { ErrorMeta, ResponseMeta } from "@event-service-agent/schemas/outcome"
import { Context, type DateTime, type Effect, type Option, Schema } from "effect"

export const STATUSES = ["Submitted", "Scheduled", "Running", "Succeeded", "Failed", "Cancelled"] as const
export type Status = (typeof STATUSES)[number]

/** What the list shows of a call. */
export interface ServiceCallSummary {
  readonly tenantId: TenantId
  readonly serviceCallId: ServiceCallId
  readonly name: string
  readonly status: Status
  readonly request: RedactedRequest
  readonly tags: ReadonlyArray<string>
  readonly acceptedAt: DateTime.Utc
  readonly dueAt: DateTime.Utc
  /** When the call ended, whichever way. */
  readonly finishedAt: DateTime.Utc | null
  /** The last instant before the send minus max(dueAt, acceptedAt), in milliseconds; `null` if unsent. */
  readonly latenessMs: number | null
  /** Why a failed call failed; the detail has more. */
  readonly failure: Pick<ErrorMeta, "kind" | "message" | "sent"> | null
  readonly correlationId: CorrelationId
}

/** Everything about one call. */
export interface ServiceCallDetail extends ServiceCallSummary {
  readonly timeoutMs: number
  readonly onUnknown: OnUnknown
  /** The states it has been in, oldest first. */
  readonly history: ReadonlyArray<{ readonly status: Status; readonly at: DateTime.Utc }>
  /** The call that this one repeats. */
  readonly clonedFrom: ServiceCallId | null
  /** Whether the sealed request is still there, so that the call can be repeated as it was. */
  readonly requestKept: boolean
  readonly attempt: { readonly number: number; readonly startedAt: DateTime.Utc } | null
  readonly outcome: Outcome | null
}

export type Outcome =
  | { readonly type: "Succeeded"; readonly response: ResponseMeta }
  | { readonly type: "Failed"; readonly error: ErrorMeta }
  | { readonly type: "Cancelled"; readonly reason: string | null }

/** What it takes to repeat a call. */
export interface KeptRequest {
  readonly sealed: Uint8Array
  /** Whether it outlives the end of the call. */
  readonly keepRequest: boolean
}

/** A place in the order of the list: newest accepted first, then the greatest id. */
export interface Cursor {
  readonly acceptedAt: DateTime.Utc
  readonly serviceCallId: ServiceCallId
}

/** Absent or empty fields do not filter. */
export interface ServiceCallFilter {
  readonly statuses: ReadonlyArray<Status>
  /** A call has to carry all of them. */
  readonly tags: ReadonlyArray<string>
  /** On dueAt, inclusive. */
  readonly from?: DateTime.Utc
  /** On dueAt, exclusive. */
  readonly to?: DateTime.Utc
  /** A part of the name or the URL, in any case. */
  readonly text?: string
}

/** What a call that has not ended has to wait for. */
export interface WaitingFacts {
  /** Its due time has come, and it waits for a place. */
  readonly isDue: boolean
  readonly runningOfTenant: number
  readonly runningOfAll: number
  /** The tenant's calls that wait for a place and were due before it. */
  readonly dueBefore: number
  /** When the first of the attempts under way ends at the latest, of the tenant and of all; `null` while none is. */
  readonly placeFreeAtOfTenant: DateTime.Utc | null
  readonly placeFreeAtOfAll: DateTime.Utc | null
  /** Timers of all tenants whose time has come and that have not fired. */
  readonly overdueTimers: number
  /** A message of the call that a module has failed on, and tries again. */
  readonly retry: { readonly consumer: Consumer; readonly attempts: number; readonly at: DateTime.Utc } | null
}

/** How many calls a tenant has. */
export interface ServiceCallCounts {
  readonly statuses: ReadonlyMap<Status, number>
  /** The most used first, at most `COUNTED_TAGS_MAX`; `starred` is among them whenever a call has it. */
  readonly tags: ReadonlyArray<{ readonly tag: string; readonly calls: number }>
  /** Those that were due `OVERDUE_MS` ago or longer and have not started; no more than `COUNTED_OVERDUE_MAX`. */
  readonly overdue: number
}

/** There are too many lists to look through calls for, or this one takes too long. The detail says what to do. */
export class CannotSearch extends Schema.TaggedError<CannotSearch>()("CannotSearch", { detail: Schema.String }) {}

export const COUNTED_TAGS_MAX = 100
export const COUNTED_OVERDUE_MAX = 100
/** Later than this, people should look why. */
export const OVERDUE_MS = 10_000
/** How others look at service calls: committed states only, one tenant at a time, never holding up the writer. */
export class ServiceCallReader extends Context.Service<
  ServiceCallReader,
  {
    readonly get: (key: ServiceCallKey) => Effect.Effect<Option.Option<ServiceCallDetail>, StorageError>
    /** Newest accepted first, those after the cursor, at most `limit`. One that has to look for its calls may be refused. */
    readonly list: (
      tenantId: TenantId,
      filter: ServiceCallFilter,
      page: { readonly after?: Cursor; readonly limit: number }
    ) => Effect.Effect<ReadonlyArray<ServiceCallSummary>, StorageError | CannotSearch>
    /** The sealed request, as long as it is there. */
    readonly sealed: (key: ServiceCallKey) => Effect.Effect<Option.Option<KeptRequest>, StorageError>
    /** What stands between the call and its send. */
    readonly waiting: (key: ServiceCallKey) => Effect.Effect<WaitingFacts, StorageError>
    /** Counters, which cost the same however many calls there are. */
    readonly counts: (tenantId: TenantId) => Effect.Effect<ServiceCallCounts, StorageError>
  }
>()("@event-service-agent/orchestration/ServiceCallReader") {}
