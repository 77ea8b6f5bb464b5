import { EventLog, type LoggedEvent } from "@event-service-agent/platform/event-log"
import { Stopping } from "@event-service-agent/platform/stopping"
import { logRetry } from "@event-service-agent/platform/storage-error"
import { makeTenantPlaces } from "@event-service-agent/platform/tenant-places"
import type { TenantId } from "@event-service-agent/schemas/ids"
import { Clock, Effect, Stream } from "effect"
import type { Sse } from "effect/encoding"
import { draining, Overloaded } from "./problem.ts"

/** Between two looks at the log. */
const LOOK_MS = 200
/** Servers, proxies and browsers give up connections on which nothing happens. */
const HEARTBEAT_MS = 15_000
/** Connections that follow what happens, each of which costs a look now and then. */
export const LISTENERS_MAX = 256
/** One tenant must not take all of them. */
export const LISTENERS_PER_TENANT_MAX = 128

type Live = Sse.EventEncoded

/** Makes what follows a tenant's events, from where a client has stopped, for as long as somebody reads. */
export const makeLiveEvents = Effect.gen(function* () {
  const log = yield* EventLog
  const { begun } = yield* Stopping
  const places = makeTenantPlaces({ total: LISTENERS_MAX, perTenant: LISTENERS_PER_TENANT_MAX })

  /** The event to begin with, and the place to go on from. */
  const begin = Effect.fnUntraced(function* (lastEventId: string | undefined) {
    const last = yield* log.last
    if (lastEventId === undefined) return { first: mark("ready", last), place: last }
    const seen = /^\d{1,15}$/.test(lastEventId) ? Number(lastEventId) : -1
    const isKnown = seen <= last && seen >= (yield* log.horizon)
    return isKnown ? { first: mark("ready", seen), place: seen } : { first: mark("reset", last), place: last }
  })

  const follow = (tenantId: TenantId, from: number) => {
    let place = from
    let saidAt: number | undefined
    const next = Effect.gen(function* () {
      saidAt ??= yield* Clock.currentTimeMillis
      while (true) {
        const now = yield* Clock.currentTimeMillis
        const { events, readTo } = yield* log.after(tenantId, place)
        const hasMoved = readTo > place
        if (hasMoved && (yield* log.horizon) > place) {
          // Its reader was so slow that retention was faster.
          saidAt = now
          place = yield* log.last
          return [mark("reset", place)]
        }
        place = readTo
        if (events.length > 0 || now - saidAt >= HEARTBEAT_MS) {
          saidAt = now
          return events.length > 0 ? events.map(toLive) : [mark("heartbeat", place)]
        }
        if (!hasMoved) yield* Effect.sleep(LOOK_MS)
      }
    })
    return Stream.flatMap(Stream.fromEffectRepeat(next), Stream.fromIterable)
  }

  return Effect.fnUntraced(function* (tenantId: TenantId, lastEventId: string | undefined) {
    if (begun.isOpen()) return yield* draining()
    // Before anything else, so that those who come at the same moment count, too.
    const noPlace = places.take(tenantId)
    if (noPlace !== undefined) {
      const many = `${noPlace.taken} clients${noPlace.of === "tenant" ? " of the tenant" : ""}`
      return yield* new Overloaded({ detail: `${many} follow what happens already: try again later` })
    }
    const leave = Effect.sync(() => places.leave(tenantId))
    const { first, place } = yield* Effect.onError(begin(lastEventId), () => leave)
    return Stream.concat(Stream.make(first), follow(tenantId, place)).pipe(
      // The client comes back by itself, and goes on from where it was.
      Stream.catchCause((cause) =>
        Stream.fromEffectDrain(logRetry("a stream of events ended, its reader will come back", cause))
      ),
      Stream.interruptWhen(begun.await),
      Stream.ensuring(leave)
    )
  })
})

const mark = (event: string, place: number): Live => ({ id: String(place), event, data: "{}" })

const toLive = ({ seq, ...event }: LoggedEvent): Live => ({
  id: String(seq),
  event: event.type,
  data: JSON.stringify(event)
})
