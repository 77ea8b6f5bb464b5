import { CorrelationId } from "@event-service-agent/schemas/ids"
import { fromMillis } from "@event-service-agent/schemas/time"
import { Result } from "effect"
import {
  awaitRelease,
  cancel,
  fail,
  noteAttempt,
  type ServiceCall,
  type Submission,
  schedule,
  start,
  submit,
  succeed
} from "../src/domain/service-call.ts"
import { keyOf } from "./drafts.ts"

export const submission: Submission = {
  ...keyOf(1),
  name: "nightly report",
  request: { method: "POST", url: "https://example.com/hook", headers: { accept: "*/*" }, bodyBytes: 2 },
  sealed: new Uint8Array([1, 2, 3]),
  tags: ["billing", "eu"],
  timeoutMs: 10_000,
  onUnknown: "fail",
  keepRequest: false,
  clonedFrom: null,
  acceptedAt: fromMillis(1_000),
  dueAt: fromMillis(5_000),
  correlationId: CorrelationId.make("00000000-0000-7000-8000-000000000002")
}
export const response = { status: 200, headers: { server: "x" }, bodySnippet: "ok", bodyBytes: 2, latencyMs: 3 }
export const error = { kind: "Timeout", message: "too slow", sent: "maybe" } as const

export const submitted = submit(submission, fromMillis(1_001))
export const scheduled = schedule(submitted, fromMillis(1_002))
export const running = Result.getOrThrow(start(scheduled, fromMillis(5_000)))
export const attempted = noteAttempt(running, { number: 1, startedAt: fromMillis(5_001) })
export const succeeded = succeed(attempted, { sentAt: fromMillis(5_001), response }, fromMillis(5_010))
export const failed = fail(running, { sentAt: null, error }, fromMillis(5_010))
export const cancelled = cancel(scheduled, "changed my mind", fromMillis(2_000))

/** A call in each state and form that is stored. */
export const everyState: ReadonlyArray<ServiceCall> = [
  submitted,
  scheduled,
  awaitRelease(scheduled),
  running,
  attempted,
  succeeded,
  failed,
  cancelled,
  cancel(submitted, null, fromMillis(2_000))
]
