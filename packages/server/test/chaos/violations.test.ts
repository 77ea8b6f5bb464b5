import { describe, expect, it } from "vitest"
import type { Detail } from "../client.ts"
import type { Receipt } from "./load.ts"
import { makePlan } from "./plan.ts"
import { type Observed, violationsOf } from "./violations.ts"

const NOW = Date.parse("2030-01-01T00:00:00Z")
const iso = (millis: number): string => new Date(NOW + millis).toISOString()
const at = (millis: number): number => NOW + millis

const [firstCall] = makePlan({ seed: 1, kills: 0, submissions: 1, kinds: [], resendShare: 0 }).calls
if (firstCall === undefined) throw new Error("the plan is empty")
const receipt: Receipt = {
  call: { ...firstCall, tenant: "acme", status: 200, cancelAfterMs: null },
  serviceCallId: "a",
  isCancelled: null,
  dueAt: at(100)
}
const detail: Detail = {
  tenantId: "acme",
  serviceCallId: "a",
  name: "call 0",
  status: "Succeeded",
  request: { method: "GET", url: "http://127.0.0.1:1/0", headers: {}, bodyBytes: 0 },
  tags: [],
  acceptedAt: iso(0),
  dueAt: iso(100),
  finishedAt: iso(120),
  latenessMs: 5,
  failure: null,
  correlationId: "c",
  timeoutMs: 5_000,
  onUnknown: "fail",
  clonedFrom: null,
  requestKept: false,
  history: [
    { status: "Submitted", at: iso(1) },
    { status: "Scheduled", at: iso(1) },
    { status: "Running", at: iso(101) },
    { status: "Succeeded", at: iso(120) }
  ],
  attempt: { number: 1, startedAt: iso(102) },
  outcome: null,
  problems: [],
  links: { self: "", cancel: "", tags: "" }
}
const message = (type: string, version: number, millis: number) => ({
  service_call_id: "a",
  type,
  version,
  timestamp: at(millis)
})
const submitted = message("ServiceCallSubmitted", 1, 1)
const scheduled = message("ServiceCallScheduled", 2, 1)
const running = message("ServiceCallRunning", 3, 101)
const started = message("ExecutionStarted", 1, 102)
const outcome = message("ExecutionSucceeded", 2, 119)
const succeeded = message("ServiceCallSucceeded", 4, 120)
const arrival = { arrivedAt: at(105), path: "/0" }

/** One call that was scheduled and made, and nothing wrong with it. */
const clean: Observed = {
  receipts: [receipt],
  arrivals: new Map([["a", [arrival]]]),
  listed: [detail],
  details: [detail],
  submissions: [{ tenant_id: "acme", service_call_id: "a" }],
  messages: [submitted, scheduled, running, started, outcome, succeeded],
  leftovers: { deliveries: 0 },
  damage: [],
  exitCode: 0,
  lastKillAt: at(50),
  isDrained: false
}
const withDetail = (changes: Partial<Detail>): Partial<Observed> => ({ details: [{ ...detail, ...changes }] })
const unknown = { kind: "OutcomeUnknown", sent: "maybe", message: "" } as const
const failed = { status: "Failed", failure: unknown } as const

const BROKEN: ReadonlyArray<readonly [what: string, change: Partial<Observed>, said: string]> = [
  ["a call that the list has lost", { listed: [], details: [] }, "acknowledged and is missing in the list"],
  ["a call without a submission", { submissions: [] }, "acknowledged and has no submission"],
  ["a call in another tenant's list", { listed: [{ ...detail, tenantId: "globex" }] }, "missing in the list"],
  ["a call that is listed twice", { listed: [detail, detail] }, "the list shows a call twice"],
  [
    "one submission that became two calls",
    { details: [detail, detail] },
    "call 0 was submitted once and is there twice"
  ],
  ["a call that nobody submitted", { receipts: [] }, "nobody submitted it"],
  ["another id than the acknowledged one", withDetail({ serviceCallId: "b" }), "acknowledged as a"],
  [
    "a request for no call",
    {
      arrivals: new Map([
        ["a", [arrival]],
        ["b", [arrival]]
      ])
    },
    "a request for b, which is no call"
  ],
  ["two requests", { arrivals: new Map([["a", [arrival, arrival]]]) }, "2 requests, at most 1 allowed"],
  ["success without a request", { arrivals: new Map() }, "Succeeded  without a request"],
  ["a request too early", { arrivals: new Map([["a", [{ ...arrival, arrivedAt: at(99) }]]]) }, "came 1 ms early"],
  ["another due time", withDetail({ dueAt: iso(99) }), "earlier than asked for"],
  ["a call that is still open", withDetail({ status: "Running", finishedAt: null }), "it is still Running"],
  ["a call that ended late", withDetail({ finishedAt: iso(15_101) }), "ended 1 ms too late"],
  ["a request of a call that was cancelled", withDetail({ status: "Cancelled" }), "1 requests, at most 0 allowed"],
  ["a cancellation without effect", { receipts: [{ ...receipt, isCancelled: true }] }, "the cancellation was accepted"],
  ["an unsent call with a request", withDetail({ ...failed, failure: { ...unknown, sent: "no" } }), "sent: no, and"],
  [
    "success that was none",
    { receipts: [{ ...receipt, call: { ...receipt.call, status: 503 } }] },
    "it Succeeded, and"
  ],
  ["a failure that was none", withDetail({ ...failed, failure: { ...unknown, kind: "HttpStatus" } }), "it Failed, and"],
  [
    "a failure out of nowhere",
    withDetail({ ...failed, failure: { ...unknown, kind: "DnsFailed" } }),
    "nothing here fails with DnsFailed"
  ],
  ["unknown after a drain", { ...withDetail(failed), isDrained: true }, "OutcomeUnknown, though every send had time"],
  ["a second terminal event", { messages: [...clean.messages, { ...succeeded, version: 5 }] }, "2 terminal events"],
  [
    "a lost event",
    { messages: [submitted, running, started, outcome, succeeded] },
    "events in this order: Submitted Running"
  ],
  [
    "events out of order",
    { messages: [scheduled, submitted, running, started, outcome, succeeded] },
    "revisions in this order: 2 1 3 4"
  ],
  [
    "a gap in the revisions",
    { messages: [submitted, scheduled, running, started, outcome, { ...succeeded, version: 5 }] },
    "revisions in this order: 1 2 3 5"
  ],
  ["another history than the events", withDetail({ history: detail.history.slice(1) }), "the history says"],
  [
    "another status than the last event",
    withDetail({ status: "Failed" }),
    "the last event says Succeeded, the detail Failed"
  ],
  [
    "another attempt than the detail's",
    withDetail({ attempt: { number: 2, startedAt: iso(102) } }),
    "the detail knows 2"
  ],
  ["a second attempt", { messages: [...clean.messages, started] }, "2 attempts"],
  ["a second outcome", { messages: [...clean.messages, outcome] }, "1 attempts and 2 outcomes"],
  ["a message that is left over", { leftovers: { deliveries: 1 } }, "left over: 1 deliveries"],
  ["a stop that failed", { exitCode: 1 }, "the last stop ended with code 1"],
  ["a damaged file", { damage: [{ integrity_check: "wrong" }] }, "the database is damaged"]
]

describe("the checks of the harness", () => {
  it("find nothing where nothing is wrong", () => {
    expect(violationsOf(clean)).toEqual([])
  })

  it("allow a second request to a call that asked for it, and no third", () => {
    const resent = { ...clean, ...withDetail({ onUnknown: "resend" }) }
    expect(violationsOf({ ...resent, arrivals: new Map([["a", [arrival, arrival]]]) })).toEqual([])
    const [violation] = violationsOf({ ...resent, arrivals: new Map([["a", [arrival, arrival, arrival]]]) })
    expect(violation).toContain("3 requests, at most 2 allowed")
  })

  for (const [what, change, said] of BROKEN) {
    it(`find ${what}`, () => {
      expect(violationsOf({ ...clean, ...change }).filter((violation) => violation.includes(said))).not.toEqual([])
    })
  }
})
