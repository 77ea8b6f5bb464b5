import { isLater, type Live, type Status, type Summary } from "./wire.ts"

const STATUS_OF: ReadonlyMap<string, Status> = new Map([
  ["ServiceCallSubmitted", "Submitted"],
  ["ServiceCallScheduled", "Scheduled"],
  ["ServiceCallRunning", "Running"],
  ["ServiceCallSucceeded", "Succeeded"],
  ["ServiceCallFailed", "Failed"],
  ["ServiceCallCancelled", "Cancelled"]
])

/**
 * The rows after the events, each at its place: what is in view never moves. The same array when nothing changes. An
 * event that says what is known already, or less, changes nothing.
 */
export const applyEvents = (rows: ReadonlyArray<Summary>, events: ReadonlyArray<Live>): ReadonlyArray<Summary> => {
  const byCall = new Map<string, Array<Live>>()
  for (const event of events) {
    const known = byCall.get(event.serviceCallId)
    if (known === undefined) byCall.set(event.serviceCallId, [event])
    else known.push(event)
  }
  let isChanged = false
  const changed = rows.map((row) => {
    const next = (byCall.get(row.serviceCallId) ?? []).reduce(applyEvent, row)
    isChanged ||= next !== row
    return next
  })
  return isChanged ? changed : rows
}

const applyEvent = (row: Summary, { type, payload }: Live): Summary => {
  const fields = isFields(payload) ? payload : {}
  if (type === "ServiceCallTagsChanged") {
    const { tags } = fields
    return isTexts(tags) && tags.join("\n") !== row.tags.join("\n") ? { ...row, tags } : row
  }
  const status = STATUS_OF.get(type)
  if (status === undefined || !isLater(status, row.status)) return row
  const { finishedAt, cancelledAt, latenessMs, dueAt, errorMeta } = fields
  const endedAt = finishedAt ?? cancelledAt
  return {
    ...row,
    status,
    dueAt: typeof dueAt === "string" ? dueAt : row.dueAt,
    finishedAt: typeof endedAt === "string" ? endedAt : row.finishedAt,
    latenessMs: typeof latenessMs === "number" ? latenessMs : row.latenessMs,
    failure: isFailure(errorMeta) ? errorMeta : row.failure
  }
}

/**
 * How many calls of the newest page belong among the rows in view and are not there.
 *
 * @param hasMore whether there are older calls than those in view, which move up where one leaves
 */
export const countUnseen = (rows: ReadonlyArray<Summary>, newest: ReadonlyArray<Summary>, hasMore: boolean): number => {
  const seen = new Set(rows.map((row) => row.serviceCallId))
  const oldest = hasMore ? (rows.at(-1)?.acceptedAt ?? "") : ""
  return newest.filter((call) => !seen.has(call.serviceCallId) && call.acceptedAt >= oldest).length
}

const isFields = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null

const isTexts = (value: unknown): value is ReadonlyArray<string> =>
  Array.isArray(value) && value.every((item) => typeof item === "string")

const isFailure = (value: unknown): value is NonNullable<Summary["failure"]> =>
  isFields(value) && [value["kind"], value["message"], value["sent"]].every((part) => typeof part === "string")
