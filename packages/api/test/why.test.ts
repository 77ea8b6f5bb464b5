import { fromMillis } from "@event-service-agent/schemas/time"
import { Option } from "effect"
import { describe, expect, it } from "vitest"
import { submitted } from "../src/read-service-calls.ts"
import { type Known, whyOf } from "../src/why.ts"
import { submissionOf } from "./submission-store.contract.ts"

const known = (change: Partial<Known>, call: Partial<Known["call"]> = {}): Known => ({
  call: { ...submitted(submissionOf(1, 1)), ...call },
  waiting: {
    isDue: true,
    runningOfTenant: 1,
    runningOfAll: 9,
    dueBefore: 4,
    placeFreeAtOfTenant: fromMillis(5_000),
    placeFreeAtOfAll: fromMillis(6_000),
    overdueTimers: 3,
    retry: null
  },
  caps: { total: 9, perTenant: 2 },
  now: fromMillis(2_000),
  storageTrouble: Option.none(),
  health: [{ part: "bus", trouble: undefined }],
  seesAll: true,
  deadLetter: undefined,
  ...change
})
const broken = { bus: "NATS is away", executors: "none runs" } as const
const troubled = (...parts: ReadonlyArray<keyof typeof broken>): Partial<Known> => ({
  health: (["bus", "executors"] as const).map((part) => ({
    part,
    trouble: parts.includes(part) ? broken[part] : undefined
  }))
})

describe("why", () => {
  it("tells who has a key of one tenant nothing of the others' calls", () => {
    const atCap = whyOf(known({}, { status: "Scheduled" }))
    expect(atCap).toMatchObject({
      gate: "global-cap",
      nextWakeUpAt: fromMillis(6_000),
      numbers: { runningOfAll: 9, globalCap: 9 }
    })
    const ofTenant = whyOf(known({ seesAll: false }, { status: "Scheduled" }))
    expect(ofTenant).toMatchObject({ gate: "global-cap", nextWakeUpAt: null })
    expect(ofTenant.numbers).toEqual({ runningOfTenant: 1, tenantCap: 2, dueBefore: 4 })
    expect(ofTenant.summary).not.toMatch(/\b9\b/)
    const { waiting } = known({})
    const armed = { seesAll: false, waiting: { ...waiting, isDue: false } }
    expect(whyOf(known(armed, { status: "Scheduled" })).numbers).not.toHaveProperty("overdueTimers")
  })

  it("blames the storage for all that waits while it refuses to write", () => {
    const full = { storageTrouble: Option.some("The disk is full") }
    for (const status of ["Submitted", "Scheduled", "Running"] as const) {
      const { gate, summary, nextWakeUpAt } = whyOf(known({ ...full, ...troubled("bus", "executors") }, { status }))
      expect({ gate, nextWakeUpAt }).toEqual({ gate: "storage", nextWakeUpAt: null })
      expect(summary).toContain("The disk is full")
    }
    const cancelled = { type: "Cancelled", reason: null } as const
    expect(whyOf(known(full, { status: "Cancelled", outcome: cancelled })).gate).toBe("done")
  })

  it("blames executors only for calls that wait for one, and the broker for what waits for it", () => {
    const running = { status: "Running", attempt: null } as const
    const gateOf = (change: Partial<Known>, call: Partial<Known["call"]>) => {
      const { gate, summary } = whyOf(known(change, call))
      return { gate, summary }
    }
    expect(gateOf(troubled("executors"), running)).toEqual({
      gate: "executor",
      summary: "Released; it waits for an executor. none runs."
    })
    expect(gateOf(troubled("executors"), { status: "Submitted" }).gate).toBe("queued")
    expect(gateOf(troubled("bus", "executors"), running).gate).toBe("broker")
    expect(gateOf(troubled("bus"), { status: "Submitted" }).summary).toContain("NATS is away")
    expect(gateOf(troubled(), running).gate).toBe("running")
  })
})
