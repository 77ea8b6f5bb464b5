import { message } from "../envelope.ts"
import { Timestamp } from "../time.ts"

export const DueTimeReached = message({
  type: "DueTimeReached",
  aggregateType: "Timer",
  to: ["orchestration"],
  payload: { dueAt: Timestamp, reachedAt: Timestamp }
})
