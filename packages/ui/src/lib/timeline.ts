import type { Detail, Status } from "./wire.ts"

export interface Step {
  readonly name: string
  /** Milliseconds since 1970; `null` when it has not happened. */
  readonly at: number | null
  /** It has not happened, and is known to come. */
  readonly isAhead: boolean
  /** Milliseconds since the step before it; `null` where that says nothing. */
  readonly afterMs: number | null
}

type Timed = Pick<Detail, "acceptedAt" | "dueAt" | "finishedAt" | "status" | "history" | "attempt">

const WAITING: ReadonlySet<Status> = new Set<Status>(["Submitted", "Scheduled"])

/** The four steps in the life of a call, in the order in which they happen. */
export const stepsOf = (call: Timed): ReadonlyArray<Step> => {
  const { status } = call
  const isWaiting = WAITING.has(status)
  const startedAt = call.attempt?.startedAt ?? call.history.find((entry) => entry.status === "Running")?.at ?? null
  const ended = status === "Cancelled" || status === "Failed" || status === "Succeeded" ? status : "Finished"
  const steps = [
    { name: "Submitted", at: Date.parse(call.acceptedAt), isAhead: false },
    { name: "Due", at: Date.parse(call.dueAt), isAhead: isWaiting && Date.parse(call.dueAt) > Date.now() },
    // A call that was cancelled, or failed before it could start, never does.
    ...(startedAt === null && !isWaiting && status !== "Running"
      ? []
      : [{ name: "Started", at: parse(startedAt), isAhead: false }]),
    { name: ended, at: parse(call.finishedAt), isAhead: false }
  ]
  // Cancelled before it was due, a call ends before that.
  const inOrder = steps.toSorted((a, b) => (a.at ?? Number.POSITIVE_INFINITY) - (b.at ?? Number.POSITIVE_INFINITY))
  return inOrder.map((step, index) => {
    const before = inOrder[index - 1]?.at ?? null
    return { ...step, afterMs: step.at === null || before === null ? null : step.at - before }
  })
}

const parse = (time: string | null): number | null => (time === null ? null : Date.parse(time))
