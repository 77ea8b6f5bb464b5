import type { ServiceCallDetail } from "@event-service-agent/orchestration/ports/service-call-reader"
import { Stopping } from "@event-service-agent/platform/stopping"
import { makeTenantPlaces } from "@event-service-agent/platform/tenant-places"
import type { ServiceCallKey } from "@event-service-agent/schemas/ids"
import { Effect, Option, Schedule } from "effect"
import { Visit } from "./gate.ts"
import { getServiceCall } from "./read-service-calls.ts"

/** The longest that an answer waits for an outcome, in seconds. */
export const WAIT_SECONDS_MAX = 60
/** Answers that wait at the same time; further ones come without. */
export const WAITERS_MAX = 1_000
/** One tenant must not take all of them. */
export const WAITERS_PER_TENANT_MAX = 250
/** The first pause between two looks, and the longest. */
const LOOK_FIRST_MS = 10
const LOOK_MAX_MS = 250
const LOOK_GROWTH = 1.3

/** Seconds that a client would wait for the outcome, by `Prefer: wait=N`; `undefined` when it would not. */
export const preferredWait = (prefer: string | undefined): number | undefined => {
  const seconds = /(?:^|,)\s*wait\s*=\s*"?(\d{1,9})"?\s*(?:[,;]|$)/i.exec(prefer ?? "")?.[1]
  return seconds === undefined ? undefined : Math.min(Number(seconds), WAIT_SECONDS_MAX)
}

/**
 * Makes what waits for the end of a call. None when it does not come in time, which it does not for calls that are not
 * under way when the service begins to stop.
 */
export const makeAwaitEnd = Effect.gen(function* () {
  const { begun, modulesStopped } = yield* Stopping
  const isInVain = ({ status }: ServiceCallDetail) =>
    modulesStopped.isOpen() || (begun.isOpen() && status !== "Running")
  const places = makeTenantPlaces({ total: WAITERS_MAX, perTenant: WAITERS_PER_TENANT_MAX })
  return Effect.fnUntraced(function* (key: ServiceCallKey, seconds: number) {
    const visit = yield* Visit
    if (places.take(key.tenantId) !== undefined) return Option.none<ServiceCallDetail>()
    // Who waits is not worked on.
    visit.leave()
    return yield* getServiceCall(key).pipe(
      Effect.repeat({
        until: (call) => call.outcome !== null || isInVain(call),
        schedule: Schedule.min([Schedule.exponential(LOOK_FIRST_MS, LOOK_GROWTH), Schedule.spaced(LOOK_MAX_MS)])
      }),
      Effect.timeoutOption(seconds * 1_000),
      Effect.map(Option.filter(({ outcome }) => outcome !== null)),
      // It was pruned meanwhile.
      Effect.catchTag("ServiceCallNotFound", () => Effect.succeedNone),
      Effect.ensuring(Effect.sync(() => places.leave(key.tenantId)))
    )
  })
})
