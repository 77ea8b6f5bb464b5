import { EventBusPort } from "@event-service-agent/platform/event-bus"
import { logRetry } from "@event-service-agent/platform/storage-error"
import type { Consumer } from "@event-service-agent/schemas/envelope"
import type { ServiceCallId, TenantId } from "@event-service-agent/schemas/ids"
import { Clock, Effect, Layer } from "effect"
import { ReadConnection } from "./database.ts"
import { makePruneMessages } from "./prune-messages.ts"
import { makePruneServiceCalls } from "./prune-service-calls.ts"
import { makeSweep, SWEEP_LIMITS, type SweepLimits } from "./sweep.ts"

/** How long what is not needed any more is kept, in milliseconds. `null` is for ever. */
export interface Retention {
  /** Ended calls with all that belongs to them, since their end. With them their idempotency keys are forgotten. */
  readonly finishedMs: number | null
  /** Messages that were handled, since they were written. */
  readonly eventsMs: number | null
  /** Dead letters, since they died. */
  readonly deadLettersMs: number | null
  /** The sealed requests of calls with `keepRequest`, since their end. */
  readonly keptRequestsMs: number | null
}

/** What one look has pruned, over all tenants. */
export interface Pruned {
  readonly calls: number
  readonly keptRequests: number
  readonly messages: number
  readonly deadLetters: number
}

const LOOK_INTERVAL_MIN_MS = 100
const LOOK_INTERVAL_MAX_MS = 10_000
/** Looks in the shortest of the times. */
const LOOKS_PER_TIME = 10
/** The messages of a call that is gone are looked for when they are so much older: then most of them are of such calls. */
const GONE_FACTOR = 1.25

/**
 * Prunes old data of all tenants for as long as the service runs, as its one housekeeper: it deletes from the tables of
 * every module, but only what its module will not touch again.
 */
export const layer = (retention: Retention) =>
  Layer.effectDiscard(
    Effect.gen(function* () {
      const times = Object.values(retention).filter((time) => time !== null)
      if (times.length === 0) return
      const look = yield* makePrune(retention)
      const interval = Math.min(...times) / LOOKS_PER_TIME
      const pauseMs = Math.min(Math.max(interval, LOOK_INTERVAL_MIN_MS), LOOK_INTERVAL_MAX_MS)
      yield* look.pipe(
        Effect.tap((pruned) =>
          Object.values(pruned).some((count) => count > 0)
            ? Effect.annotateLogs(Effect.logDebug("old data was deleted"), pruned)
            : Effect.void
        ),
        Effect.catchCause((cause) => logRetry("old data will be deleted later", cause)),
        Effect.andThen(Effect.sleep(pauseMs)),
        Effect.forever,
        Effect.forkScoped
      )
    })
  )

/** An effect for each look through the data: it goes on where the one before has ended. */
export const makePrune = Effect.fnUntraced(function* (retention: Retention, limits: SweepLimits = SWEEP_LIMITS) {
  const calls = yield* makePruneServiceCalls(limits)
  const messages = yield* makePruneMessages(limits)
  const giveUp = yield* makeGiveUpDeadLetters(limits)
  const { finishedMs, eventsMs, deadLettersMs, keptRequestsMs } = retention
  const before = (ageMs: number | null) =>
    Effect.map(Clock.currentTimeMillis, (now) => (ageMs === null ? Number.NEGATIVE_INFINITY : now - ageMs))

  const finished = finishedMs === null ? nothing : makeSweep(calls.deleteEndedAllTenants(before(finishedMs)), limits)
  const kept = keptRequestsMs === null ? nothing : makeSweep(calls.eraseKeptAllTenants(before(keptRequestsMs)), limits)
  const handled = frontsOfMessages(eventsMs, finishedMs).map((frontMs) => {
    const ages = { writtenBefore: before(eventsMs), goneBefore: before(finishedMs), frontBefore: before(frontMs) }
    return makeSweep(messages.pruneHandledAllTenants(Effect.all(ages)), limits)
  })
  const deadLetters = deadLettersMs === null ? nothing : giveUp(before(deadLettersMs))

  return Effect.gen(function* () {
    const counts = { deadLetters: yield* deadLetters, calls: yield* finished, keptRequests: yield* kept }
    let count = 0
    for (const sweep of handled) count += yield* sweep
    return { ...counts, messages: count } satisfies Pruned
  })
})

const nothing = Effect.succeed(0)

/** The ages at which messages are looked at for the first time: when most of them may go. */
const frontsOfMessages = (eventsMs: number | null, finishedMs: number | null): ReadonlyArray<number> => {
  const goneMs = finishedMs === null ? null : finishedMs * GONE_FACTOR
  if (eventsMs === null || goneMs === null) return [eventsMs ?? goneMs].filter((ms) => ms !== null)
  return eventsMs <= goneMs ? [eventsMs] : [goneMs, eventsMs]
}

interface DeadLetterRow {
  readonly consumer: Consumer
  readonly seq: number
  readonly tenant_id: TenantId
  readonly service_call_id: ServiceCallId
  readonly type: string
  readonly died_at: number
}

/** Gives dead letters up as an operator would, a page of them in each look: the later messages of their calls go on. */
const makeGiveUpDeadLetters = Effect.fnUntraced(function* ({ rows, pauseMs }: SweepLimits) {
  const reader = yield* ReadConnection
  const bus = yield* EventBusPort
  const page = reader.prepare<DeadLetterRow>(
    `SELECT consumer, seq, tenant_id, service_call_id, type, died_at FROM dead_letters
     WHERE (consumer, seq) > (?, ?) ORDER BY consumer, seq LIMIT ?`
  )
  let last: Pick<DeadLetterRow, "consumer" | "seq"> | undefined

  return Effect.fnUntraced(function* (before: Effect.Effect<number>) {
    const diedBefore = yield* before
    const letters = yield* page.all(last?.consumer ?? "", last?.seq ?? 0, rows)
    last = letters.length < rows ? undefined : letters.at(-1)
    let count = 0
    for (const { consumer, seq, tenant_id, service_call_id, type, died_at } of letters) {
      if (died_at > diedBefore) continue
      const key = { tenantId: tenant_id, serviceCallId: service_call_id }
      const isGivenUp = yield* bus.discard(consumer, seq, key).pipe(
        Effect.tap((isDiscarded) =>
          isDiscarded
            ? Effect.logWarning(`${consumer} never handled ${type}: its dead letter is given up`)
            : Effect.void
        ),
        // One that cannot be given up, such as one with an unreadable message behind it, must not hold up the rest.
        Effect.catchCause((cause) => Effect.as(logRetry("a dead letter will be given up later", cause), false)),
        Effect.annotateLogs(key)
      )
      if (isGivenUp) count++
      yield* Effect.sleep(pauseMs)
    }
    return count
  })
})
