import { message } from "../envelope.ts"
import { Timestamp } from "../time.ts"

export const DueTimeReached = message({
  type: "DueTimeReached",
  kind: "event",
  aggregateType: "Timer",
  to: ["orchestration"],
  payload: { dueAt: Timestamp, reachedAt: Timestamp }
})
