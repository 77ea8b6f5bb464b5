import { TenantId } from "@event-service-agent/schemas/ids"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Admission, type Undo } from "../src/domain/admission.ts"

const tenants = ["a", "b", "c"].map((name) => TenantId.make(name))
const caps = { total: 4, perTenant: 2 }

/** The plainest thing that keeps the same promises: lists, searched anew each time. */
class Reference {
  inFlight: Array<TenantId> = []
  /** Tenants in the order of their turns, each with the calls that wait. */
  waiting: Array<{ readonly tenant: TenantId; calls: number }> = []

  hasPlace(tenant: TenantId): boolean {
    return !this.waiting.some((entry) => entry.tenant === tenant) && this.fits(tenant)
  }
  fits(tenant: TenantId): boolean {
    return (
      this.inFlight.length < caps.total && this.inFlight.filter((other) => other === tenant).length < caps.perTenant
    )
  }
}

/** A due call arrives, a call ends, or a waiting call is cancelled; `undone` takes it back, as a rollback does. */
const step = fc.record({
  kind: fc.constantFrom("arrive", "end", "cancel"),
  tenant: fc.constantFrom(...tenants),
  undone: fc.boolean()
})

describe("admission", () => {
  it("lets the same calls run as plain lists would, under the caps and in turn", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const admission = new Admission(caps)
        const reference = new Reference()
        for (const { kind, tenant, undone } of steps) {
          const undos: Array<Undo> = []
          const entry = reference.waiting.find((other) => other.tenant === tenant)
          expect(admission.hasPlace(tenant)).toBe(reference.hasPlace(tenant))
          if (kind === "arrive")
            undos.push(admission.hasPlace(tenant) ? admission.enter(tenant) : admission.wait(tenant))
          if (kind === "end" && reference.inFlight.includes(tenant)) undos.push(admission.leave(tenant))
          if (kind === "cancel" && entry !== undefined) undos.push(admission.unwait(tenant))
          if (undone) {
            for (const undo of undos.reverse()) undo()
            // Taking back a tenant's last cancellation gives it a new turn at the end.
            if (kind === "cancel" && entry?.calls === 1) {
              reference.waiting = [...reference.waiting.filter((other) => other !== entry), entry]
            }
            continue
          }
          if (kind === "arrive" && reference.hasPlace(tenant)) reference.inFlight.push(tenant)
          else if (kind === "arrive" && entry !== undefined) entry.calls++
          else if (kind === "arrive") reference.waiting.push({ tenant, calls: 1 })
          if (kind === "end" && reference.inFlight.includes(tenant)) {
            reference.inFlight.splice(reference.inFlight.indexOf(tenant), 1)
          }
          if (kind === "cancel" && entry !== undefined) entry.calls--
          reference.waiting = reference.waiting.filter(({ calls }) => calls > 0)
          // Whoever waits and fits runs now, in the unit that made the place free.
          for (let next = admission.next(); next !== undefined; next = admission.next()) {
            const turn = reference.waiting.findIndex((other) => reference.fits(other.tenant))
            expect(next).toBe(reference.waiting[turn]?.tenant)
            const [served] = reference.waiting.splice(turn, 1)
            if (served !== undefined) reference.waiting.push({ tenant: served.tenant, calls: served.calls - 1 })
            reference.waiting = reference.waiting.filter(({ calls }) => calls > 0)
            reference.inFlight.push(next)
            admission.unwait(next)
            admission.enter(next)
          }
          expect(reference.waiting.some((other) => reference.fits(other.tenant))).toBe(false)
        }
      })
    )
  })

  it("serves the tenants that wait in turn, however many calls one of them has", () => {
    const admission = new Admission({ total: 3, perTenant: 3 })
    const [a, b, c] = tenants
    if (a === undefined || b === undefined || c === undefined) throw new Error("three tenants")
    for (let call = 0; call < 3; call++) admission.enter(a)
    admission.wait(a, 1_000)
    admission.wait(b, 2)
    admission.wait(c, 2)
    const served: Array<TenantId> = []
    for (let call = 0; call < 5; call++) {
      admission.leave(served[call - 3] ?? a)
      const next = admission.next()
      if (next === undefined) break
      admission.unwait(next)
      admission.enter(next)
      served.push(next)
    }
    expect(served).toEqual([a, b, c, a, b])
  })
})
