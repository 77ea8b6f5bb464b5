import { EventLog, type LoggedEvent } from "@event-service-agent/platform/event-log"
import { Stopping } from "@event-service-agent/platform/stopping"
import { StorageError } from "@event-service-agent/platform/storage-error"
import { onTestClock, settle, TEST_TIMEOUT_MS } from "@event-service-agent/platform/testing"
import { CorrelationId, ServiceCallId, TenantId } from "@event-service-agent/schemas/ids"
import { fromMillis } from "@event-service-agent/schemas/time"
import { Effect, Fiber, type Scope, Stream } from "effect"
import type { Sse } from "effect/encoding"
import { TestClock } from "effect/testing"
import { describe, expect, it } from "vitest"
import { LISTENERS_PER_TENANT_MAX, makeLiveEvents } from "../src/live-events.ts"

const acme = TenantId.make("acme")
const id = "00000000-0000-7000-8000-000000000001"
const HEARTBEAT_MS = 15_000

const eventAt = (seq: number): LoggedEvent => ({
  seq,
  type: "ServiceCallTagsChanged",
  serviceCallId: ServiceCallId.make(id),
  version: seq,
  timestamp: fromMillis(0),
  correlationId: CorrelationId.make(id),
  payload: { tags: [] }
})

/** A log that the test writes, with one reader. */
const makeWorld = Effect.gen(function* () {
  const log = { events: [] as LoggedEvent[], horizon: 0, looks: 0, isBroken: false }
  const { begun: stopping } = yield* Stopping
  const live = yield* Effect.provideService(makeLiveEvents, EventLog, {
    last: Effect.sync(() => log.events.at(-1)?.seq ?? 0),
    horizon: Effect.sync(() => log.horizon),
    after: (_, seq) =>
      Effect.suspend(() => {
        log.looks++
        if (log.isBroken) return Effect.fail(new StorageError({ operation: "look", cause: "the disk is gone" }))
        const events = log.events.filter((event) => event.seq > seq && event.seq > log.horizon)
        return Effect.succeed({ events, readTo: events.at(-1)?.seq ?? seq })
      })
  })
  const seen: Array<string> = []
  const note = ({ id, event }: Sse.EventEncoded) => Effect.sync(() => seen.push(`${id} ${event}`))
  const read = (lastEventId?: string) =>
    Effect.flatMap(live(acme, lastEventId), (stream) => Effect.forkScoped(Stream.runForEach(stream, note))).pipe(
      Effect.tap(settle)
    )
  return { log, stopping, live, seen, read }
})

const inWorld = <E>(use: (world: Effect.Success<typeof makeWorld>) => Effect.Effect<void, E, Scope.Scope>) =>
  onTestClock(Effect.flatMap(makeWorld, use).pipe(Effect.scoped, Effect.provide(Stopping.layer)))

describe("live events", () => {
  it(
    "have a heartbeat after fifteen seconds of silence, and none as long as something happens",
    inWorld(({ log, seen, read }) =>
      Effect.gen(function* () {
        yield* read()
        yield* TestClock.adjust(HEARTBEAT_MS - 1_000)
        expect(seen).toEqual(["0 ready"])
        yield* TestClock.adjust(1_000)
        expect(seen).toEqual(["0 ready", "0 heartbeat"])
        yield* TestClock.adjust(HEARTBEAT_MS - 1_000)
        log.events.push(eventAt(1))
        yield* TestClock.adjust(HEARTBEAT_MS - 1_000)
        expect(seen.slice(2)).toEqual(["1 ServiceCallTagsChanged"])
        yield* TestClock.adjust(2_000)
        expect(seen.slice(3)).toEqual(["1 heartbeat"])
      })
    )
  )

  it(
    "begin where the reader has stopped, or say that this is not known any more",
    inWorld(({ log, seen, read }) =>
      Effect.gen(function* () {
        log.events.push(...[1, 2, 3, 4].map(eventAt))
        log.horizon = 2
        for (const [lastEventId, first] of [
          [undefined, "4 ready"],
          ["4", "4 ready"],
          ["3", "3 ready"],
          ["2", "2 ready"],
          ["1", "4 reset"],
          ["5", "4 reset"],
          ["", "4 reset"],
          ["-1", "4 reset"],
          ["2.5", "4 reset"],
          ["1e0", "4 reset"],
          ["9".repeat(30), "4 reset"]
        ] as const) {
          seen.length = 0
          const reader = yield* read(lastEventId)
          expect({ lastEventId, first: seen[0] }).toEqual({ lastEventId, first })
          const from = Number(first.split(" ")[0])
          expect(seen.slice(1)).toEqual(
            [3, 4].filter((seq) => seq > from).map((seq) => `${seq} ServiceCallTagsChanged`)
          )
          yield* Fiber.interrupt(reader)
        }
      })
    )
  )

  it(
    "say so when retention has overtaken a reader that was too slow",
    inWorld(({ log, live }) =>
      Effect.gen(function* () {
        log.events.push(eventAt(1))
        const stream = yield* live(acme, "0")
        const pull = yield* Stream.toPull(stream)
        const taken: Array<string> = []
        const take = Effect.map(pull, (events) => taken.push(...events.map(({ id, event }) => `${id} ${event}`)))
        yield* take
        yield* take
        log.events.push(...[2, 3, 4].map(eventAt))
        log.horizon = 3
        yield* take
        log.events.push(eventAt(5))
        const next = yield* Effect.forkScoped(take)
        yield* settle
        yield* TestClock.adjust(1_000)
        yield* Fiber.join(next)
        expect(taken).toEqual(["0 ready", "1 ServiceCallTagsChanged", "4 reset", "5 ServiceCallTagsChanged"])
      })
    )
  )

  it(
    "have so many readers, each of which frees its place however it ends",
    inWorld(({ log, stopping, live, read }) =>
      Effect.gen(function* () {
        const readers = yield* Effect.forEach(Array(LISTENERS_PER_TENANT_MAX), () => read())
        expect(yield* Effect.flip(live(acme, undefined))).toMatchObject({ _tag: "Overloaded" })
        for (const reader of readers.slice(0, 3)) yield* Fiber.interrupt(reader)
        for (let place = 0; place < 3; place++) yield* read()
        yield* Effect.flip(live(acme, undefined))
        // A storage that does not answer ends them all; they come back by themselves.
        log.isBroken = true
        yield* TestClock.adjust(1_000)
        log.isBroken = false
        yield* Effect.forEach(Array(LISTENERS_PER_TENANT_MAX), () => read())
        yield* Effect.flip(live(acme, undefined))
        const { looks } = log
        yield* stopping.open
        yield* settle
        yield* TestClock.adjust(HEARTBEAT_MS)
        expect(log.looks).toBe(looks)
      })
    ),
    TEST_TIMEOUT_MS
  )
})
