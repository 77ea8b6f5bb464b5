import { Schema } from "effect"
import { message } from "../envelope.ts"
import { ErrorMeta, ResponseMeta } from "../outcome.ts"
import { Timestamp } from "../time.ts"

const aggregateType = "ExecutionAttempt"
/** 1 for the first attempt of a call. */
const attempt = Schema.Int

export const ExecutionStarted = message({
  type: "ExecutionStarted",
  kind: "event",
  aggregateType,
  to: ["orchestration"],
  payload: { attempt, startedAt: Timestamp }
})

export const ExecutionSucceeded = message({
  type: "ExecutionSucceeded",
  kind: "event",
  aggregateType,
  to: ["orchestration"],
  payload: {
    attempt,
    /** The last instant before the send. */
    sentAt: Timestamp,
    finishedAt: Timestamp,
    responseMeta: ResponseMeta
  }
})

export const ExecutionFailed = message({
  type: "ExecutionFailed",
  kind: "event",
  aggregateType,
  to: ["orchestration"],
  payload: {
    attempt,
    /** The last instant before the send; `null` when the send was not reached or nobody knows. */
    sentAt: Schema.NullOr(Timestamp),
    finishedAt: Timestamp,
    errorMeta: ErrorMeta
  }
})
