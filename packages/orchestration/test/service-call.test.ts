import { fromMillis } from "@event-service-agent/schemas/time"
import { Result } from "effect"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import {
  awaitRelease,
  cancel,
  changeTags,
  fail,
  isEnded,
  NotDue,
  noteAttempt,
  start,
  submit,
  succeed
} from "../src/domain/service-call.ts"
import { error, response, running, scheduled, submission } from "./service-calls.ts"

describe("service call", () => {
  it("takes one revision for each domain event, and none for what is only noted", () => {
    const succeeded = succeed(running, { sentAt: fromMillis(5_001), response }, fromMillis(5_010))
    expect([submit(submission, fromMillis(0)), scheduled, running, succeeded].map((call) => call.revision)).toEqual([
      1, 2, 3, 4
    ])
    expect(awaitRelease(scheduled).revision).toBe(scheduled.revision)
    expect(noteAttempt(running, { number: 1, startedAt: fromMillis(5_001) }).revision).toBe(running.revision)
    expect(changeTags(succeeded, ["late"]).revision).toBe(5)
  })

  it("starts at its due time or after, and never before", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 10_000 }), fc.integer({ min: 0, max: 10_000 }), (dueAt, now) => {
        const started = start({ ...scheduled, dueAt: fromMillis(dueAt) }, fromMillis(now))
        expect(Result.isSuccess(started)).toBe(now >= dueAt)
        if (Result.isFailure(started)) expect(started.failure).toBeInstanceOf(NotDue)
      })
    )
  })

  it("loses its request from memory once it runs or is cancelled", () => {
    expect(running).not.toHaveProperty("sealed")
    expect(cancel(scheduled, null, fromMillis(2_000))).not.toHaveProperty("sealed")
  })

  it("counts lateness from the later of due and accepted, to the last instant before the send", () => {
    const late = (dueAt: number, sentAt: number) =>
      succeed({ ...running, dueAt: fromMillis(dueAt) }, { sentAt: fromMillis(sentAt), response }, fromMillis(9_999))
    expect(late(5_000, 5_004).latenessMs).toBe(4)
    expect(late(500, 1_004).latenessMs).toBe(4)
    expect(fail(running, { sentAt: null, error }, fromMillis(6_000)).latenessMs).toBe(null)
  })

  it("ends in three states and no other", () => {
    expect(isEnded(succeed(running, { sentAt: fromMillis(5_001), response }, fromMillis(5_002)))).toBe(true)
    expect(isEnded(fail(running, { sentAt: null, error }, fromMillis(5_002)))).toBe(true)
    expect(isEnded(cancel(scheduled, "changed my mind", fromMillis(2_000)))).toBe(true)
    expect(isEnded(scheduled) || isEnded(running)).toBe(false)
  })

  it("does not compile for a state that may not make the move", () => {
    // @ts-expect-error a call that runs cannot be cancelled
    const late = () => cancel(running, null, fromMillis(0))
    // @ts-expect-error a call that has not started has no outcome
    const early = () => succeed(scheduled, { sentAt: fromMillis(0), response }, fromMillis(0))
    expect([typeof late, typeof early]).toEqual(["function", "function"])
  })
})
