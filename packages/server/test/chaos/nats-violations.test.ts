import { describe, expect, it } from "vitest"
import { type ObservedElsewhere, type StoredAttempt, violationsElsewhere } from "./nats-violations.ts"

const STARTED_AT = Date.parse("2030-01-01T00:00:00Z")
const LEASE_MS = 6_000
const DEADLINE_AT = STARTED_AT + LEASE_MS

const ended = (afterMs: number, kind?: string): string =>
  JSON.stringify({
    _tag: kind === undefined ? "Succeeded" : "Failed",
    finishedAt: new Date(STARTED_AT + afterMs).toISOString(),
    ...(kind === undefined ? {} : { errorMeta: { kind } })
  })

const attempt: StoredAttempt = {
  service_call_id: "a",
  number: 1,
  is_remote: 1,
  started_at: STARTED_AT,
  deadline_at: DEADLINE_AT,
  outcome: ended(100),
  evidence: null
}
const lost: StoredAttempt = { ...attempt, outcome: ended(LEASE_MS, "OutcomeUnknown") }
const again: StoredAttempt = { ...attempt, number: 2, is_remote: 0 }
const arrivedAfter = (...millis: ReadonlyArray<number>) =>
  new Map([["a", millis.map((after) => ({ arrivedAt: STARTED_AT + after }))]])

const event = (seq: number) => ({ seq, message_id: `m${seq}`, type: "ServiceCallRunning", service_call_id: "a" })
const seenEvent = (seq: number) => ({
  messageId: `m${seq}`,
  publishId: `m${seq}`,
  type: "ServiceCallRunning",
  serviceCallId: "a",
  seq,
  isRepublished: false
})
const [first, second] = [seenEvent(1), seenEvent(2)]

/** One call that an executor made, and nothing wrong with it. */
const clean: ObservedElsewhere = {
  attempts: [attempt],
  arrivals: arrivedAfter(50),
  events: [event(1), event(2)],
  seen: [first, second],
  lostMax: 0
}

const FINE: ReadonlyArray<readonly [what: string, change: Partial<ObservedElsewhere>]> = [
  ["a clean run", {}],
  ["a lost attempt that was sent", { attempts: [lost], lostMax: 1 }],
  ["a second attempt of the service", { attempts: [lost, again], arrivals: arrivedAfter(50, 5_500), lostMax: 1 }],
  ["an event that was repeated later", { seen: [first, second, first] }]
]

const BROKEN: ReadonlyArray<readonly [what: string, change: Partial<ObservedElsewhere>, said: string]> = [
  ["an open attempt", { attempts: [{ ...attempt, outcome: null }] }, "it is open"],
  ["a first attempt of the service", { attempts: [{ ...attempt, is_remote: 0 }] }, "performed by the service"],
  ["a second attempt elsewhere", { attempts: [{ ...again, is_remote: 1 }] }, "performed elsewhere"],
  [
    "an attempt that was given up before its lease ended",
    { attempts: [{ ...lost, outcome: ended(LEASE_MS - 15, "OutcomeUnknown") }], lostMax: 1 },
    "called unknown 10 ms before its lease ended"
  ],
  ["more lost attempts than executors had", { attempts: [lost] }, "cannot have lost more than 0"],
  ["a request too many", { arrivals: arrivedAfter(50, 60) }, "2 requests of 1 attempts"],
  ["a request without an attempt", { attempts: [] }, "1 requests of 0 attempts"],
  ["a request before the claim", { arrivals: arrivedAfter(-1) }, "a request outside of every lease"],
  ["a request after the lease", { arrivals: arrivedAfter(LEASE_MS + 1_001) }, "a request outside of every lease"],
  ["an event that nobody outside got", { seen: [first] }, "events of a outside"],
  ["events that came in another order", { seen: [second, first] }, "events of a outside"],
  ["an event that is not in the outbox", { events: [event(1)] }, "events of a outside"],
  ["events of no call", { events: [], seen: [first] }, "in the outbox: nothing"]
]

describe("the checks of executors elsewhere", () => {
  for (const [what, change] of FINE) {
    it(`allow ${what}`, () => {
      expect(violationsElsewhere({ ...clean, ...change })).toEqual([])
    })
  }

  for (const [what, change, said] of BROKEN) {
    it(`find ${what}`, () => {
      expect(violationsElsewhere({ ...clean, ...change }).filter((problem) => problem.includes(said))).not.toEqual([])
    })
  }
})
