import type { SQLQueryBindings } from "bun:sqlite"
import {
  CannotSearch,
  type Cursor,
  type ServiceCallFilter
} from "@event-service-agent/orchestration/ports/service-call-reader"
import { makeTenantPlaces } from "@event-service-agent/platform/tenant-places"
import { ServiceCallId, type TenantId } from "@event-service-agent/schemas/ids"
import { fromMillis, toMillis } from "@event-service-agent/schemas/time"
import { Duration, Effect, Semaphore } from "effect"
import type { Prepared } from "../bun/sqlite.ts"
import { ReadConnection } from "./database.ts"
import type { ServiceCallRow } from "./service-call-rows.ts"

/** Calls that a search looks at in one go, at most, at first, and at least: nothing else happens meanwhile. */
export const LOOK_MAX = 4_000
const LOOK_FIRST = 250
const LOOK_MIN = 20
/** Milliseconds that this may take. Calls with large requests take longer, so it looks at fewer. */
const LOOK_MS = 5
/** Searches that wait or go on. */
export const SEARCHES_MAX = 64
/** One tenant must not have all of them. */
export const SEARCHES_PER_TENANT_MAX = 8
/** Soon after, connections are given up on which nothing has happened. */
export const SEARCH_MS_MAX = 8_000

/** All but the sealed request, which nobody lists and which may be large. */
const LISTED_COLUMNS = `c.tenant_id, c.service_call_id, c.revision, c.status, c.name, c.request, NULL AS sealed, c.tags,
  c.timeout_ms, c.on_unknown, c.keep_request, c.cloned_from, c.correlation_id, c.accepted_at, c.due_at, c.submitted_at,
  c.scheduled_at, c.is_due, c.started_at, c.attempt, c.attempt_started_at, c.finished_at, c.lateness_ms, c.outcome`

/** Where a list starts, how long it is, and the oldest call that it looks at. */
interface Stretch {
  readonly after?: Cursor | undefined
  readonly downTo?: Cursor | undefined
  readonly limit: number
}

interface Place {
  readonly accepted_at: number
  readonly service_call_id: Cursor["serviceCallId"]
}

/**
 * Makes what reads the rows of a list. A list that an index gives in its order is read at once. One that has to search
 * its calls among others does so in stretches, between which other work goes on. One search of each tenant goes on at a
 * time, and these take turns; too many are refused, and so is one that takes too long.
 */
export const makeListRows = Effect.fnUntraced(function* (lookMax: number, searchMsMax: number) {
  const reader = yield* ReadConnection
  const inTurn = yield* makeTurns(searchMsMax)
  // One statement for each combination of filters in use: all values are bound.
  const statements = new Map<string, Prepared<ServiceCallRow & Place>>()
  const read = (sql: string, bindings: ReadonlyArray<SQLQueryBindings>) => {
    const statement = statements.get(sql) ?? reader.prepare<ServiceCallRow & Place>(sql)
    statements.set(sql, statement)
    return statement.all(...bindings)
  }
  const rowsOf = (tenantId: TenantId, filter: ServiceCallFilter, stretch: Stretch) => {
    const { sql, bindings } = listQuery(tenantId, filter, stretch)
    return read(sql, bindings)
  }

  /** Whether so few calls are due in the range that they are found and sorted at once. */
  const isFew = Effect.fnUntraced(function* (tenantId: TenantId, { from, to }: ServiceCallFilter) {
    const range = [from === undefined ? 0 : toMillis(from), to === undefined ? Number.MAX_SAFE_INTEGER : toMillis(to)]
    const [beyond] = yield* read(
      "SELECT accepted_at FROM service_calls WHERE tenant_id = ? AND due_at >= ? AND due_at < ? LIMIT 1 OFFSET ?",
      [tenantId, ...range, Math.min(LOOK_FIRST, lookMax)]
    )
    return beyond === undefined
  })

  const search = Effect.fnUntraced(function* (
    tenantId: TenantId,
    filter: ServiceCallFilter,
    page: Stretch,
    stretch: Semaphore.Semaphore
  ) {
    const found: Array<ServiceCallRow> = []
    let { after } = page
    let look = Math.min(LOOK_FIRST, lookMax)
    while (true) {
      const looking = Effect.gen(function* () {
        const { sql, bindings } = lastQuery(tenantId, filter, { after, limit: look })
        const [last] = yield* read(sql, bindings)
        const downTo = last === undefined ? OLDEST : placeOf(last)
        found.push(...(yield* rowsOf(tenantId, filter, { after, downTo, limit: page.limit - found.length })))
        return last === undefined ? undefined : downTo
      })
      const [took, downTo] = yield* stretch.withPermits(1)(Effect.timed(looking))
      if (downTo === undefined || found.length >= page.limit) return found
      after = downTo
      const tookMs = Duration.toMillis(took)
      if (tookMs > LOOK_MS) look = Math.max(Math.min(LOOK_MIN, lookMax), Math.floor(look / 2))
      else if (tookMs < LOOK_MS / 2) look = Math.min(lookMax, 2 * look)
      yield* Effect.yieldNow
    }
  })

  /** The newest of all the states, from the index of each. */
  const merge = Effect.fnUntraced(function* (tenantId: TenantId, filter: ServiceCallFilter, page: Stretch) {
    const rows = yield* Effect.forEach(new Set(filter.statuses), (status) =>
      rowsOf(tenantId, { ...filter, statuses: [status] }, page)
    )
    return rows.flat().sort(byNewest).slice(0, page.limit)
  })

  return Effect.fnUntraced(function* (tenantId: TenantId, filter: ServiceCallFilter, page: Stretch) {
    if (isInOrder(filter)) return yield* rowsOf(tenantId, filter, page)
    if (isInOrder({ ...filter, statuses: [] }) && filter.tags.length === 0) return yield* merge(tenantId, filter, page)
    const isByDueTime = (filter.from ?? filter.to) !== undefined && filter.tags.length === 0
    if (isByDueTime && (yield* isFew(tenantId, filter))) return yield* rowsOf(tenantId, filter, page)
    return yield* inTurn(tenantId, (stretch) => search(tenantId, filter, page, stretch))
  })
})

/** Makes what lets searches go on, with what one of their stretches at a time has. */
const makeTurns = Effect.fnUntraced(function* (searchMsMax: number) {
  const stretch = yield* Semaphore.make(1)
  const places = makeTenantPlaces({ total: SEARCHES_MAX, perTenant: SEARCHES_PER_TENANT_MAX })
  /** Of the tenants that have a place. */
  const turns = new Map<TenantId, Semaphore.Semaphore>()

  const enter = (tenantId: TenantId) =>
    Effect.suspend(() => {
      const noPlace = places.take(tenantId)
      if (noPlace !== undefined) {
        const many = `${noPlace.taken} searches${noPlace.of === "tenant" ? " of the tenant" : ""}`
        return Effect.fail(new CannotSearch({ detail: `${many} are under way already: try again in a moment` }))
      }
      const turn = turns.get(tenantId) ?? Semaphore.makeUnsafe(1)
      turns.set(tenantId, turn)
      return Effect.succeed(turn)
    })
  const leave = (tenantId: TenantId) =>
    Effect.sync(() => {
      if (places.leave(tenantId) === 0) turns.delete(tenantId)
    })

  return <A, E, R>(tenantId: TenantId, search: (stretch: Semaphore.Semaphore) => Effect.Effect<A, E, R>) =>
    Effect.acquireUseRelease(
      enter(tenantId),
      (turn) =>
        Effect.timeoutOrElse(turn.withPermits(1)(search(stretch)), {
          duration: searchMsMax,
          orElse: () => new CannotSearch({ detail: TOO_LONG })
        }),
      () => leave(tenantId)
    )
})
const TOO_LONG = `Nothing was found within ${SEARCH_MS_MAX / 1_000} s, the tenant's searches before it included: ask for one state, one tag or a range of due times, or read the export`

const byNewest = (one: Place, other: Place): number =>
  other.accepted_at - one.accepted_at || (one.service_call_id < other.service_call_id ? 1 : -1)

const placeOf = ({ accepted_at, service_call_id }: Place): Cursor => ({
  acceptedAt: fromMillis(accepted_at),
  serviceCallId: service_call_id
})

/**
 * The index that a list without tags has to be read by, whatever the planner thinks: a stretch in the order in which it
 * was measured, and few calls of a range of due times by these.
 */
const indexOf = ({ statuses, from, to }: ServiceCallFilter, isStretch: boolean): string => {
  if (isStretch)
    return `INDEXED BY ${statuses.length === 1 ? "service_calls_by_status" : "service_calls_by_acceptance"}`
  return from === undefined && to === undefined ? "" : "INDEXED BY service_calls_by_due"
}

/** Before all calls. */
const OLDEST: Cursor = {
  acceptedAt: fromMillis(0),
  serviceCallId: ServiceCallId.make("00000000-0000-7000-8000-000000000000")
}

/** Whether an index has the calls of the filter side by side, in the order of the list. */
const isInOrder = ({ statuses, tags, from, to, text = "" }: ServiceCallFilter): boolean =>
  statuses.length + new Set(tags).size <= 1 && from === undefined && to === undefined && text === ""

/** The place of the last of so many calls that a list looks at, in the order of its index; no row when there are fewer. */
const lastQuery = (tenantId: TenantId, { tags: [tag], statuses }: ServiceCallFilter, { after, limit }: Stretch) => {
  const [status] = statuses.length === 1 ? statuses : []
  const conditions = ["tenant_id = ?"]
  const bindings: Array<SQLQueryBindings> = [tenantId]
  if (tag !== undefined) {
    conditions.push("tag = ?")
    bindings.push(tag)
  } else if (status !== undefined) {
    conditions.push("status = ?")
    bindings.push(status)
  }
  if (after !== undefined) {
    conditions.push("(accepted_at, service_call_id) < (?, ?)")
    bindings.push(toMillis(after.acceptedAt), after.serviceCallId)
  }
  const sql = `SELECT accepted_at, service_call_id FROM ${tag === undefined ? "service_calls" : "service_call_tags"}
    WHERE ${conditions.join(" AND ")} ORDER BY accepted_at DESC, service_call_id DESC LIMIT 1 OFFSET ?`
  return { sql, bindings: [...bindings, limit - 1] }
}

/**
 * The list as SQL: newest accepted first. One tag drives the query through the tags' own order, one status through the
 * index by status; several statuses are picked out of the order of acceptance, which needs no sort. So is a range of due
 * times within a stretch.
 */
export const listQuery = (
  tenantId: TenantId,
  filter: ServiceCallFilter,
  { after, limit, downTo }: Stretch
): { readonly sql: string; readonly bindings: ReadonlyArray<SQLQueryBindings> } => {
  const [drivingTag, ...furtherTags] = new Set(filter.tags)
  const order = drivingTag === undefined ? "c" : "t"
  const conditions: Array<string> = []
  const bindings: Array<SQLQueryBindings> = []
  const where = (condition: string, ...values: ReadonlyArray<SQLQueryBindings>) => {
    conditions.push(condition)
    bindings.push(...values)
  }

  where(`${order}.tenant_id = ?`, tenantId)
  if (drivingTag !== undefined) where("t.tag = ?", drivingTag)
  const place = `(${order}.accepted_at, ${order}.service_call_id)`
  if (after !== undefined) where(`${place} < (?, ?)`, toMillis(after.acceptedAt), after.serviceCallId)
  if (downTo !== undefined) where(`${place} >= (?, ?)`, toMillis(downTo.acceptedAt), downTo.serviceCallId)
  const dueAt = downTo === undefined ? "c.due_at" : "+c.due_at"
  if (filter.statuses.length === 1) where("c.status = ?", ...filter.statuses)
  else if (filter.statuses.length > 1) {
    where("+c.status IN (SELECT value FROM json_each(?))", JSON.stringify(filter.statuses))
  }
  if (filter.from !== undefined) where(`${dueAt} >= ?`, toMillis(filter.from))
  if (filter.to !== undefined) where(`${dueAt} < ?`, toMillis(filter.to))
  if (filter.text !== undefined && filter.text !== "") {
    where(
      "(instr(lower(c.name), lower(?)) > 0 OR instr(lower(c.request ->> 'url'), lower(?)) > 0)",
      filter.text,
      filter.text
    )
  }
  if (furtherTags.length > 0) {
    where(
      `(SELECT count(*) FROM json_each(?) w JOIN service_call_tags f ON f.tenant_id = c.tenant_id AND f.tag = w.value
          AND f.accepted_at = c.accepted_at AND f.service_call_id = c.service_call_id) = ?`,
      JSON.stringify(furtherTags),
      furtherTags.length
    )
  }
  const from =
    drivingTag === undefined
      ? `service_calls c ${indexOf(filter, downTo !== undefined)}`
      : `service_call_tags t JOIN service_calls c
           ON c.tenant_id = t.tenant_id AND c.service_call_id = t.service_call_id`
  const sql = `SELECT ${LISTED_COLUMNS} FROM ${from} WHERE ${conditions.join(" AND ")}
    ORDER BY ${order}.accepted_at DESC, ${order}.service_call_id DESC LIMIT ?`
  return { sql, bindings: [...bindings, limit] }
}
