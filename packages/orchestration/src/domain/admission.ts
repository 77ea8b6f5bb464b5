import type { TenantId } from "@event-service-agent/schemas/ids"

/** How many calls may be in flight: released and not ended. */
export interface Caps {
  readonly total: number
  readonly perTenant: number
}

/** Takes back what an operation changed. */
export type Undo = () => void

/**
 * Who may run now: round robin across the tenants that wait, under both caps. A newcomer finds no place while somebody
 * who could take it waits, so it overtakes no one.
 */
export class Admission {
  readonly #caps: Caps
  readonly #inFlight = new Map<TenantId, number>()
  /** In the order in which the tenants get their next turn. */
  readonly #waiting = new Map<TenantId, number>()
  #total = 0

  constructor(caps: Caps) {
    this.#caps = caps
  }

  /** Whether a call of this tenant that is due now may run at once. While others could take the place, they go first. */
  hasPlace(tenant: TenantId): boolean {
    return this.#isUnderCaps(tenant) && !this.#waiting.has(tenant) && !this.hasNext()
  }

  /** Whether there is a place for somebody who waits. */
  hasNext(): boolean {
    return this.#first() !== undefined
  }

  enter(tenant: TenantId): Undo {
    this.#count(this.#inFlight, tenant, 1)
    this.#total++
    return () => this.leave(tenant)
  }

  leave(tenant: TenantId): Undo {
    this.#count(this.#inFlight, tenant, -1)
    this.#total--
    return () => this.enter(tenant)
  }

  /** Adds a due call that found no place. */
  wait(tenant: TenantId, calls = 1): Undo {
    this.#count(this.#waiting, tenant, calls)
    return () => this.unwait(tenant, calls)
  }

  unwait(tenant: TenantId, calls = 1): Undo {
    this.#count(this.#waiting, tenant, -calls)
    return () => this.wait(tenant, calls)
  }

  /** The tenant whose oldest waiting call is to run next. It goes to the end of the round. */
  next(): TenantId | undefined {
    const tenant = this.#first()
    const calls = tenant === undefined ? undefined : this.#waiting.get(tenant)
    if (tenant === undefined || calls === undefined) return undefined
    this.#waiting.delete(tenant)
    this.#waiting.set(tenant, calls)
    return tenant
  }

  #first(): TenantId | undefined {
    for (const tenant of this.#waiting.keys()) if (this.#isUnderCaps(tenant)) return tenant
    return undefined
  }

  #isUnderCaps(tenant: TenantId): boolean {
    return this.#total < this.#caps.total && (this.#inFlight.get(tenant) ?? 0) < this.#caps.perTenant
  }

  #count(counts: Map<TenantId, number>, tenant: TenantId, change: number): void {
    const count = (counts.get(tenant) ?? 0) + change
    if (count <= 0) counts.delete(tenant)
    else counts.set(tenant, count)
  }
}
