import { Effect, Exit, Layer, Option, References, Tracer } from "effect"
import { describe, expect, it } from "vitest"
import { EventBusPort } from "../src/event-bus.ts"
import { RetryPolicy } from "../src/failed-delivery.ts"
import { beginSpan, endSpan, Tracing } from "../src/tracing.ts"
import { Transaction } from "../src/transaction.ts"
import { PAUSES_MS, publish } from "./bus.ts"
import { everyMessage, numbered, sealedCommand } from "./messages.ts"
import { live, until } from "./testing.ts"

/** A span that has ended, as an exporter would get it. */
interface Ended {
  readonly name: string
  readonly parent: string | undefined
  readonly isFailed: boolean
}

const recording = () => {
  const names = new Map<string, string>()
  const ended: Array<Ended> = []
  class Recorded extends Tracer.NativeSpan {
    override end(endTime: bigint, exit: Exit.Exit<unknown, unknown>) {
      super.end(endTime, exit)
      names.set(this.spanId, this.name)
      const parent = Option.getOrUndefined(this.parent)?.spanId
      ended.push({ name: this.name, parent, isFailed: Exit.isFailure(exit) })
    }
  }
  const layer = Layer.mergeAll(
    Layer.succeed(Tracing, true),
    Layer.succeed(Tracer.Tracer, Tracer.make({ span: (options) => new Recorded(options) })),
    Layer.succeed(References.MinimumLogLevel, "None"),
    Layer.succeed(RetryPolicy, PAUSES_MS)
  )
  /** Each with the name of its parent, `missing` for one that nobody would find. */
  const lines = () =>
    ended.map(
      ({ name, parent, isFailed }) =>
        `${name} < ${parent === undefined ? "nobody" : (names.get(parent) ?? "missing")}${isFailed ? ", failed" : ""}`
    )
  return { layer, ended, lines }
}

/** Publishes one message within the span `publisher`. */
const publishInSpan = Effect.gen(function* () {
  const span = yield* beginSpan("publisher", { kind: "internal", traceparent: undefined, attributes: {} })
  yield* Effect.provideService(publish(numbered(1, 1)), Tracer.ParentSpan, span)
  yield* endSpan(span)
})

/** Orchestration orders an execution for the message, and execution fails so often. */
const world = (failures: number, layer: Layer.Layer<never>, ended: ReadonlyArray<Ended>, spans: number) =>
  Effect.gen(function* () {
    let left = failures
    const bus = yield* EventBusPort
    yield* bus.subscribe(
      "orchestration",
      everyMessage(() => bus.publish([sealedCommand(1, Uint8Array.of(1))]))
    )
    yield* bus.subscribe("execution", {
      StartExecution: () => Effect.suspend(() => (left-- > 0 ? Effect.fail(new Error("a secret")) : Effect.void))
    })
    yield* publishInSpan
    yield* until(
      `${spans} spans have ended`,
      Effect.sync(() => ended.length >= spans)
    )
    const transaction = yield* Transaction
    yield* transaction.run(Effect.void)
  }).pipe(Effect.provide(Layer.provideMerge(EventBusPort.layerMemory, layer)))

describe("the spans of handlers", () => {
  it("follow on each other, from the publisher on", async () => {
    const { layer, ended, lines } = recording()
    await live(world(0, layer, ended, 3))()
    expect(lines().sort()).toEqual([
      "execution StartExecution < orchestration DueTimeReached",
      "orchestration DueTimeReached < publisher",
      "publisher < nobody"
    ])
  })

  it("are not told of a unit that is rolled back and runs again", async () => {
    const { layer, ended, lines } = recording()
    await live(world(1, layer, ended, 3))()
    expect(lines().sort()).toEqual([
      "execution StartExecution < orchestration DueTimeReached",
      "orchestration DueTimeReached < publisher",
      "publisher < nobody"
    ])
  })

  it("tell of each counted failure, with a parent that has happened", async () => {
    const { layer, ended, lines } = recording()
    // At once with the publisher, at once with orchestration, and then twice for itself.
    await live(world(4, layer, ended, 5))()
    expect(lines().sort()).toEqual([
      "execution StartExecution < orchestration DueTimeReached",
      "execution StartExecution < orchestration DueTimeReached, failed",
      "execution StartExecution < orchestration DueTimeReached, failed",
      "orchestration DueTimeReached < publisher",
      "publisher < nobody"
    ])
  })
})
