import type { StorageError } from "@event-service-agent/platform/storage-error"
import type { UnitOfWork } from "@event-service-agent/platform/transaction"
import type { TenantId } from "@event-service-agent/schemas/ids"
import { Context, Effect, Layer } from "effect"

export interface Usage {
  /** Calls that have not ended, those among them that orchestration has not processed yet. */
  readonly pendingCalls: number
  /** Of the names, tags, requests, sealed requests and outcomes of all calls that orchestration has processed. */
  readonly storedBytes: number
}

/** What a tenant takes up, as the unit of work sees it: with what the units before it in the same commit have added. */
export class TenantUsage extends Context.Service<
  TenantUsage,
  { readonly of: (tenantId: TenantId) => Effect.Effect<Usage, StorageError, UnitOfWork> }
>()("@event-service-agent/api/TenantUsage") {
  /** @param of what each tenant takes up; nothing when absent */
  static readonly layerMemory = (of: (tenantId: TenantId) => Usage = () => ({ pendingCalls: 0, storedBytes: 0 })) =>
    Layer.succeed(TenantUsage, { of: (tenantId) => Effect.sync(() => of(tenantId)) })
}
