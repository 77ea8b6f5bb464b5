import type { StorageError } from "@event-service-agent/platform/storage-error"
import { UnitOfWork } from "@event-service-agent/platform/transaction"
import type { OnUnknown, RedactedRequest } from "@event-service-agent/schemas/http-request"
import {
  type CorrelationId,
  callName,
  type ServiceCallId,
  type ServiceCallKey,
  type TenantId
} from "@event-service-agent/schemas/ids"
import { Context, DateTime, Effect, Layer, Option, Order } from "effect"
import type { Cursor } from "../cursor.ts"

/** What was accepted. It never changes, and outlives its call for the time in which a key counts as used. */
export interface Submission {
  readonly tenantId: TenantId
  readonly serviceCallId: ServiceCallId
  /** Keyed hash of what was sent: tells a replay from a conflict. */
  readonly fingerprint: string
  readonly acceptedAt: DateTime.Utc
  readonly dueAt: DateTime.Utc
  readonly name: string
  readonly request: RedactedRequest
  readonly tags: ReadonlyArray<string>
  readonly timeoutMs: number
  readonly onUnknown: OnUnknown
  /** The call that this one repeats. */
  readonly clonedFrom: ServiceCallId | null
  readonly correlationId: CorrelationId
}

export class SubmissionStore extends Context.Service<
  SubmissionStore,
  {
    /** Adds a submission, unless its key is taken: then nothing changes and the earlier one is returned. */
    readonly insert: (submission: Submission) => Effect.Effect<Option.Option<Submission>, StorageError, UnitOfWork>
    /** The submission that has the key, as `insert` would find it. */
    readonly earlier: (key: ServiceCallKey) => Effect.Effect<Option.Option<Submission>, StorageError, UnitOfWork>
    readonly get: (key: ServiceCallKey) => Effect.Effect<Option.Option<Submission>, StorageError>
    /** Those of the ids that exist, newest accepted first, then the greatest id; after the cursor, at most `limit`. */
    readonly newestOf: (
      tenantId: TenantId,
      ids: ReadonlySet<ServiceCallId>,
      page: { readonly after?: Cursor | undefined; readonly limit: number }
    ) => Effect.Effect<ReadonlyArray<Submission>, StorageError>
  }
>()("@event-service-agent/api/SubmissionStore") {
  static readonly layerMemory = Layer.sync(SubmissionStore, () => makeMemory())
}

/** The order of the list: newest accepted first, then the greatest id. */
export const byNewest: Order.Order<Cursor> = Order.flip(
  Order.combine(
    Order.mapInput(DateTime.Order, (place: Cursor) => place.acceptedAt),
    Order.mapInput(Order.String, (place: Cursor) => place.serviceCallId)
  )
)

const makeMemory = (): SubmissionStore["Service"] => {
  const rows = new Map<string, Submission>()

  return {
    insert: Effect.fnUntraced(function* (submission) {
      const name = callName(submission)
      const earlier = rows.get(name)
      if (earlier !== undefined) return Option.some(earlier)
      const unit = yield* UnitOfWork
      unit.onRollback(() => rows.delete(name))
      rows.set(name, submission)
      return Option.none()
    }),
    earlier: (key) => Effect.sync(() => Option.fromNullishOr(rows.get(callName(key)))),
    get: (key) => Effect.sync(() => Option.fromNullishOr(rows.get(callName(key)))),
    newestOf: (tenantId, ids, { after, limit }) =>
      Effect.sync(() =>
        [...rows.values()]
          .filter((row) => row.tenantId === tenantId && ids.has(row.serviceCallId))
          .filter((row) => after === undefined || byNewest(after, row) < 0)
          .sort(byNewest)
          .slice(0, limit)
      )
  }
}
