import type { StorageError } from "@event-service-agent/platform/storage-error"
import { UnitOfWork } from "@event-service-agent/platform/transaction"
import type { SealedRequest } from "@event-service-agent/schemas/http-request"
import { callName, ServiceCallId, type ServiceCallKey, TenantId } from "@event-service-agent/schemas/ids"
import { Context, DateTime, Effect, Layer, Option, Schema } from "effect"
import type { Scheduled, ServiceCall } from "../domain/service-call.ts"

/** The stored call is not in the state and revision that the change started from. */
export class RevisionConflict extends Schema.TaggedError<RevisionConflict>()("RevisionConflict", {
  tenantId: TenantId,
  serviceCallId: ServiceCallId,
  revision: Schema.Int
}) {
  override get message(): string {
    return `service call ${this.serviceCallId} is no longer at revision ${this.revision}`
  }
}

/** How many calls of each tenant are in a state. */
export type CountByTenant = ReadonlyMap<TenantId, number>

/** The calls as orchestration writes them. It is the only writer. */
export class ServiceCallRepository extends Context.Service<
  ServiceCallRepository,
  {
    readonly find: (key: ServiceCallKey) => Effect.Effect<Option.Option<ServiceCall>, StorageError, UnitOfWork>
    /**
     * Stores a new call with its tags, and the sealed request if it is to be kept although the call has started. False
     * when the call is known: then nothing changes.
     */
    readonly insert: (call: ServiceCall, kept?: SealedRequest) => Effect.Effect<boolean, StorageError, UnitOfWork>
    /** Replaces a call, guarded by the status and revision it had. A call that ends loses its sealed request. */
    readonly update: (
      before: ServiceCall,
      after: ServiceCall
    ) => Effect.Effect<void, StorageError | RevisionConflict, UnitOfWork>
    /** The tenant's due call that waits for release and was due first. */
    readonly oldestDue: (tenantId: TenantId) => Effect.Effect<Option.Option<Scheduled>, StorageError, UnitOfWork>
    /** Calls in flight, and due calls that wait for release. Crosses tenants. */
    readonly countAllTenants: Effect.Effect<
      { readonly running: CountByTenant; readonly due: CountByTenant },
      StorageError,
      UnitOfWork
    >
  }
>()("@event-service-agent/orchestration/ServiceCallRepository") {
  static readonly layerMemory = Layer.sync(ServiceCallRepository, () => makeMemory())
}

const makeMemory = (): ServiceCallRepository["Service"] => {
  const calls = new Map<string, ServiceCall>()
  const put = (call: ServiceCall) =>
    Effect.map(UnitOfWork, (unit) => {
      const name = callName(call)
      const before = calls.get(name)
      unit.onRollback(() => (before === undefined ? calls.delete(name) : calls.set(name, before)))
      calls.set(name, call)
    })
  const dueOf = (tenantId: TenantId) =>
    [...calls.values()]
      .filter((call) => call._tag === "Scheduled")
      .filter((call) => call.isDue && call.tenantId === tenantId)
      .sort((a, b) => DateTime.toEpochMillis(a.dueAt) - DateTime.toEpochMillis(b.dueAt))
  const count = (isCounted: (call: ServiceCall) => boolean): CountByTenant => {
    const counts = new Map<TenantId, number>()
    for (const call of calls.values()) {
      if (isCounted(call)) counts.set(call.tenantId, (counts.get(call.tenantId) ?? 0) + 1)
    }
    return counts
  }

  return {
    find: (key) => Effect.sync(() => Option.fromNullishOr(calls.get(callName(key)))),
    insert: (call) =>
      Effect.suspend(() => (calls.has(callName(call)) ? Effect.succeed(false) : Effect.as(put(call), true))),
    update: Effect.fnUntraced(function* (before, after) {
      const stored = calls.get(callName(before))
      if (stored?._tag !== before._tag || stored.revision !== before.revision) {
        const { tenantId, serviceCallId, revision } = before
        return yield* new RevisionConflict({ tenantId, serviceCallId, revision })
      }
      yield* put(after)
    }),
    oldestDue: (tenantId) => Effect.sync(() => Option.fromNullishOr(dueOf(tenantId)[0])),
    countAllTenants: Effect.sync(() => ({
      running: count((call) => call._tag === "Running"),
      due: count((call) => call._tag === "Scheduled" && call.isDue)
    }))
  }
}
