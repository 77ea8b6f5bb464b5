import {
  type ServiceCallDetail,
  type ServiceCallFilter,
  ServiceCallReader,
  type ServiceCallSummary,
  type Status
} from "@event-service-agent/orchestration/ports/service-call-reader"
import { Outbox } from "@event-service-agent/platform/outbox"
import type { ServiceCallId, ServiceCallKey, TenantId } from "@event-service-agent/schemas/ids"
import { toMillis } from "@event-service-agent/schemas/time"
import { Effect, Option, Stream } from "effect"
import type { Cursor } from "./cursor.ts"
import { byNewest, type Submission, SubmissionStore } from "./ports/submission-store.ts"
import { SearchRefused, ServiceCallNotFound } from "./problem.ts"

/** The call as it is now. What was accepted and not yet processed is Submitted. */
export const getServiceCall = Effect.fnUntraced(function* (key: ServiceCallKey) {
  const reader = yield* ServiceCallReader
  const known = yield* reader.get(key)
  if (Option.isSome(known)) return known.value
  const store = yield* SubmissionStore
  const submission = yield* store.get(key)
  if (Option.isSome(submission)) return submitted(submission.value)
  return yield* new ServiceCallNotFound()
})

/** The status of the call that became of a submission. */
export const statusOf = Effect.fnUntraced(function* (submission: ServiceCallKey) {
  const reader = yield* ServiceCallReader
  return Option.match(yield* reader.get(submission), {
    onNone: () => "Submitted" as const,
    onSome: (call) => call.status
  })
})

/** One page of a tenant's calls, newest accepted first, and where the next page starts. */
export const listServiceCalls = Effect.fn("Api.listServiceCalls")(function* (
  tenantId: TenantId,
  filter: ServiceCallFilter,
  page: { readonly after?: Cursor; readonly limit: number }
) {
  const outbox = yield* Outbox
  // Before the calls are read: one that is processed in between is in both, never in neither.
  const unprocessed = yield* outbox.unhandled("SubmitServiceCall", tenantId)
  const reader = yield* ServiceCallReader
  const enough = { ...page, limit: page.limit + 1 }
  const known = yield* Effect.catchTag(
    reader.list(tenantId, filter, enough),
    "CannotSearch",
    ({ detail }) => new SearchRefused({ detail })
  )
  const pending = yield* listPending(tenantId, unprocessed, filter, enough)
  const found = mergeNewest(known, pending)
  const items = found.slice(0, page.limit)
  const last = items.at(-1)
  return { items, next: found.length > items.length && last !== undefined ? cursorOf(last) : null }
})

/** Calls that one step of an export reads. */
const EXPORT_PAGE = 200

/**
 * All calls that the filter lets through, newest accepted first. Each step reads one page through an index, and picks
 * from it: however rare they are, others may read and write in between.
 */
export const exportServiceCalls = (tenantId: TenantId, filter: ServiceCallFilter) => {
  const [tag] = filter.tags
  const status = filter.statuses.length === 1 ? filter.statuses : []
  const source = tag === undefined ? { statuses: status, tags: [] } : { statuses: [], tags: [tag] }
  return Stream.paginate(Option.none<Cursor>(), (after) =>
    Effect.map(
      listServiceCalls(tenantId, source, { limit: EXPORT_PAGE, ...Option.getOrUndefined(Option.map(after, toPage)) }),
      ({ items, next }) =>
        [
          items.filter((call) => matches(filter, call)),
          Option.map(Option.fromNullishOr(next), (cursor) => Option.some(cursor))
        ] as const
    )
  )
}

const toPage = (after: Cursor) => ({ after })

/** How many calls the tenant has, with those that orchestration has not processed yet. */
export const countServiceCalls = Effect.fn("Api.countServiceCalls")(function* (tenantId: TenantId) {
  const outbox = yield* Outbox
  const reader = yield* ServiceCallReader
  const unprocessed = yield* outbox.unhandled("SubmitServiceCall", tenantId)
  const { statuses, tags, overdue } = yield* reader.counts(tenantId)
  const of = (status: Status) => statuses.get(status) ?? 0
  const counts = {
    Submitted: of("Submitted") + unprocessed.size,
    Scheduled: of("Scheduled"),
    Running: of("Running"),
    Succeeded: of("Succeeded"),
    Failed: of("Failed"),
    Cancelled: of("Cancelled")
  }
  const total = Object.values(counts).reduce((sum, one) => sum + one, 0)
  return { total, statuses: counts, tags, overdue }
})

/** Newest first; of a call that is in both, what orchestration knows. */
const mergeNewest = (
  known: ReadonlyArray<ServiceCallSummary>,
  pending: ReadonlyArray<ServiceCallSummary>
): ReadonlyArray<ServiceCallSummary> => {
  const ids = new Set(known.map((call) => call.serviceCallId))
  return [...known, ...pending.filter((call) => !ids.has(call.serviceCallId))].sort(byNewest)
}

const listPending = Effect.fnUntraced(function* (
  tenantId: TenantId,
  ids: ReadonlySet<ServiceCallId>,
  filter: ServiceCallFilter,
  { after, limit }: { readonly after?: Cursor; readonly limit: number }
) {
  if (ids.size === 0) return []
  const store = yield* SubmissionStore
  const { statuses, tags, ...others } = filter
  const isFiltered = statuses.length + tags.length + Object.keys(others).length > 0
  const newest = yield* store.newestOf(tenantId, ids, { after, limit: isFiltered ? ids.size : limit })
  return newest
    .map(submitted)
    .filter((call) => matches(filter, call))
    .slice(0, limit)
})

const cursorOf = ({ acceptedAt, serviceCallId }: Cursor): Cursor => ({ acceptedAt, serviceCallId })

/** A submission in the shape of a call. */
export const submitted = ({ fingerprint: _, ...submission }: Submission): ServiceCallDetail => ({
  ...submission,
  status: "Submitted",
  finishedAt: null,
  latenessMs: null,
  failure: null,
  requestKept: false,
  history: [{ status: "Submitted", at: submission.acceptedAt }],
  attempt: null,
  outcome: null
})

/** Whether the filter lets the call through, as orchestration's reader would. */
export const matches = (filter: ServiceCallFilter, call: ServiceCallSummary): boolean => {
  const { statuses, tags, from, to, text } = filter
  const dueAt = toMillis(call.dueAt)
  const sought = lowerAscii(text ?? "")
  return (
    (statuses.length === 0 || statuses.includes(call.status)) &&
    tags.every((tag) => call.tags.includes(tag)) &&
    (from === undefined || dueAt >= toMillis(from)) &&
    (to === undefined || dueAt < toMillis(to)) &&
    (lowerAscii(call.name).includes(sought) || lowerAscii(call.request.url).includes(sought))
  )
}

/** As SQLite's lower: other letters stay. */
const lowerAscii = (text: string): string => text.replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase())
