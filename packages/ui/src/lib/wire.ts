import type {
  CallDetail,
  CallReference,
  CallStats,
  CallSummary,
  LiveEvent,
  Why as WhyAnswer
} from "@event-service-agent/api/representations"

/** What travels: times are text. */
export type Summary = (typeof CallSummary)["Encoded"]
export type Detail = (typeof CallDetail)["Encoded"]
export type Reference = (typeof CallReference)["Encoded"]
export type Stats = (typeof CallStats)["Encoded"]
export type Why = (typeof WhyAnswer)["Encoded"]
export type Live = (typeof LiveEvent)["Encoded"]
export type Status = Summary["status"]
export type Method = Summary["request"]["method"]

export interface CallPage {
  readonly items: ReadonlyArray<Summary>
  readonly next: string | null
}

export const METHODS: ReadonlyArray<Method> = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
export const STARRED = "starred"
/** What the service writes in the place of what it does not show, in text and in URLs. */
export const MASKS = ["[redacted]", "%5Bredacted%5D"] as const

export const isMasked = (text: string): boolean => MASKS.some((mask) => text.includes(mask))

const TERMINAL: ReadonlySet<Status> = new Set<Status>(["Succeeded", "Failed", "Cancelled"])
export const isTerminal = (status: Status): boolean => TERMINAL.has(status)

const ORDER: Readonly<Record<Status, number>> = {
  Submitted: 0,
  Scheduled: 1,
  Running: 2,
  Succeeded: 3,
  Failed: 3,
  Cancelled: 3
}
/** Whether a call can go from one state to the other: only forward. */
export const isLater = (status: Status, than: Status): boolean => ORDER[status] > ORDER[than]
