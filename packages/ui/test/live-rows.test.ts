import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { applyEvents, countUnseen } from "../src/lib/live-rows.ts"
import type { Live, Summary } from "../src/lib/wire.ts"

const AT = "2026-11-21T10:00:00.000Z"

const row = (serviceCallId: string, part: Partial<Summary> = {}): Summary => ({
  tenantId: "demo",
  serviceCallId,
  name: serviceCallId,
  status: "Scheduled",
  request: { method: "GET", url: "https://example.com/", headers: {}, bodyBytes: 0 },
  tags: [],
  acceptedAt: AT,
  dueAt: AT,
  finishedAt: null,
  latenessMs: null,
  failure: null,
  correlationId: "01a1ff2c-d2e8-773f-8f35-5017e0ee1eaf",
  ...part
})

const event = (serviceCallId: string, type: string, payload: unknown = {}): Live => ({
  serviceCallId,
  type,
  version: 1,
  timestamp: AT,
  correlationId: "01a1ff2c-d2e8-773f-8f35-5017e0ee1eaf",
  payload
})

const TYPES = ["Submitted", "Scheduled", "Running", "Succeeded", "Failed", "Cancelled", "TagsChanged"].map(
  (name) => `ServiceCall${name}`
)

describe("rows in view", () => {
  it("show how a call ended", () => {
    const [ended] = applyEvents(
      [row("a")],
      [event("a", "ServiceCallRunning"), event("a", "ServiceCallSucceeded", { finishedAt: AT, latenessMs: 7 })]
    )
    expect(ended).toEqual(row("a", { status: "Succeeded", finishedAt: AT, latenessMs: 7 }))
    const errorMeta = { kind: "Timeout", message: "too slow", sent: "maybe" }
    const [failed] = applyEvents(
      [row("a")],
      [event("a", "ServiceCallFailed", { finishedAt: AT, latenessMs: null, errorMeta })]
    )
    expect(failed).toMatchObject({ status: "Failed", latenessMs: null, failure: { kind: "Timeout", sent: "maybe" } })
    const [tagged] = applyEvents([row("a")], [event("a", "ServiceCallTagsChanged", { tags: ["starred"] })])
    expect(tagged?.tags).toEqual(["starred"])
  })

  it("are the same ones when nothing is new", () => {
    const rows = [row("a", { status: "Succeeded" })]
    const old = [event("a", "ServiceCallRunning"), event("b", "ServiceCallFailed"), event("a", "Unheard")]
    expect(applyEvents(rows, old)).toBe(rows)
  })

  it("never move, never go back, and end once, whatever comes", () => {
    const events = fc.array(fc.tuple(fc.constantFrom("a", "b", "c", "x"), fc.constantFrom(...TYPES), fc.jsonValue()))
    fc.assert(
      fc.property(events, (made) => {
        const rows = [row("a"), row("b", { status: "Running" }), row("c", { status: "Cancelled" })]
        const after = applyEvents(
          rows,
          made.map(([id, type, payload]) => event(id, type, payload))
        )
        expect(after.map(({ serviceCallId }) => serviceCallId)).toEqual(["a", "b", "c"])
        expect(["Submitted", "Scheduled"]).not.toContain(after[1]?.status)
        expect(after[2]?.status).toBe("Cancelled")
      })
    )
  })

  it("leave others unseen", () => {
    expect(countUnseen([row("a"), row("b")], [row("c"), row("a"), row("d")], false)).toBe(2)
    expect(countUnseen([row("a")], [row("a")], true)).toBe(0)
    const older = row("d", { acceptedAt: "2026-11-20T10:00:00.000Z" })
    expect(countUnseen([row("a"), row("b")], [row("c"), older], true)).toBe(1)
  })
})
