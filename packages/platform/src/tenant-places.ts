import type { TenantId } from "@event-service-agent/schemas/ids"

/** There is none left, of all or of the tenant's. */
export interface NoPlace {
  readonly of: "all" | "tenant"
  /** As many as there may be. */
  readonly taken: number
}

/**
 * Places that are held for a while: no more than `total` together, and no more than `perTenant` by one tenant, so that
 * others find some.
 */
export const makeTenantPlaces = ({ total, perTenant }: { readonly total: number; readonly perTenant: number }) => {
  const ofTenants = new Map<TenantId, number>()
  let taken = 0

  return {
    /** Takes a place, to be given back with `leave`, unless there is none left. */
    take: (tenantId: TenantId): NoPlace | undefined => {
      const ofTenant = ofTenants.get(tenantId) ?? 0
      if (ofTenant >= perTenant) return { of: "tenant", taken: ofTenant }
      if (taken >= total) return { of: "all", taken }
      ofTenants.set(tenantId, ofTenant + 1)
      taken++
      return undefined
    },
    /** @returns how many places the tenant still has */
    leave: (tenantId: TenantId): number => {
      const left = (ofTenants.get(tenantId) ?? 1) - 1
      if (left === 0) ofTenants.delete(tenantId)
      else ofTenants.set(tenantId, left)
      taken--
      return left
    }
  }
}
