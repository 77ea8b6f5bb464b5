import { EventBusPort } from "@event-service-agent/platform/event-bus"
import { settle } from "@event-service-agent/platform/testing"
import { TimerPort } from "@event-service-agent/platform/timer-port"
import { Transaction, UnitOfWork } from "@event-service-agent/platform/transaction"
import type { ServiceCallKey } from "@event-service-agent/schemas/ids"
import type { MessageDraft } from "@event-service-agent/schemas/messages/catalogue"
import { fromMillis } from "@event-service-agent/schemas/time"
import { Clock, Effect, Layer, ManagedRuntime, Option, References } from "effect"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { Caps } from "../src/domain/admission.ts"
import { awaitRelease, type ServiceCall } from "../src/domain/service-call.ts"
import { layer as orchestrationLayer } from "../src/orchestration.ts"
import { ServiceCallRepository } from "../src/ports/service-call-repository.ts"
import { cancelDraft, dueDraft, keyOf, outcomeDraft, startedDraft, submitDraft, tagsDraft } from "./drafts.ts"
import { running, scheduled } from "./service-calls.ts"

/** What orchestration published, in the order of its commits. */
class Published extends Array<MessageDraft> {
  of(key: ServiceCallKey): ReadonlyArray<MessageDraft> {
    return this.filter((draft) => draft.tenantId === key.tenantId && draft.aggregateId === key.serviceCallId)
  }
  eventsOf(key: ServiceCallKey): ReadonlyArray<string> {
    return this.of(key)
      .map((draft) => draft.type)
      .filter((type) => type.startsWith("ServiceCall"))
  }
}

/** Orchestration over the real bus in memory. The other modules are silent: the test speaks for them. */
const makeSystem = (caps: Caps, stored: ReadonlyArray<ServiceCall> = []) => {
  const published = new Published()
  const observed = Layer.effect(
    EventBusPort,
    Effect.map(EventBusPort, (bus) => ({
      ...bus,
      publish: Effect.fnUntraced(function* (drafts: ReadonlyArray<MessageDraft>) {
        const unit = yield* UnitOfWork
        unit.afterCommit(Effect.sync(() => published.push(...drafts.filter((d) => d.aggregateType === "ServiceCall"))))
        yield* bus.publish(drafts)
      })
    }))
  )
  const layer = orchestrationLayer(caps).pipe(
    Layer.provide(TimerPort.layer),
    Layer.provide(Layer.effectDiscard(insertAll(stored))),
    Layer.provideMerge(observed),
    Layer.provideMerge(Layer.merge(EventBusPort.layerMemory, ServiceCallRepository.layerMemory)),
    Layer.provideMerge(TestClock.layer()),
    Layer.provideMerge(Layer.succeed(References.MinimumLogLevel, "None"))
  )
  const runtime = ManagedRuntime.make(layer)
  const send = (...drafts: ReadonlyArray<MessageDraft>) =>
    runtime.runPromise(
      Effect.gen(function* () {
        const transaction = yield* Transaction
        const bus = yield* EventBusPort
        yield* transaction.run(bus.publish(drafts))
        yield* settle
      })
    )
  const find = (key: ServiceCallKey) =>
    runtime.runPromise(
      Effect.gen(function* () {
        const transaction = yield* Transaction
        const repository = yield* ServiceCallRepository
        return Option.getOrUndefined(yield* transaction.run(repository.find(key)))
      })
    )
  const advance = (millis: number) => runtime.runPromise(Effect.andThen(TestClock.adjust(millis), settle))
  const setTime = (millis: number) => runtime.runPromise(Effect.andThen(TestClock.setTime(millis), settle))
  const now = () => runtime.runPromise(Clock.currentTimeMillis)
  return { published, send, find, advance, setTime, now, stop: () => runtime.dispose() }
}

const insertAll = Effect.fnUntraced(function* (calls: ReadonlyArray<ServiceCall>) {
  const transaction = yield* Transaction
  const repository = yield* ServiceCallRepository
  for (const call of calls) yield* transaction.run(repository.insert(call))
})

const withSystem = (caps: Caps, test: (system: ReturnType<typeof makeSystem>) => Promise<void>) => async () => {
  const system = makeSystem(caps)
  try {
    await test(system)
  } finally {
    await system.stop()
  }
}

const roomy: Caps = { total: 100, perTenant: 100 }
const call = keyOf(1)

describe("orchestration", () => {
  it(
    "says Submitted, Scheduled, Running, Succeeded for a call due now, each with its revision and one correlation",
    withSystem(roomy, async ({ send, published, find }) => {
      await send(submitDraft(call, { dueAt: 0 }))
      await send(startedDraft(call), outcomeDraft(call, "ExecutionSucceeded", 3))
      const said = published.of(call)
      expect(said.map((draft) => [draft.type, draft.version])).toEqual([
        ["ServiceCallSubmitted", 1],
        ["ServiceCallScheduled", 2],
        ["ServiceCallRunning", 3],
        ["StartExecution", 3],
        ["ServiceCallSucceeded", 4]
      ])
      expect(new Set(said.map((draft) => draft.correlationId)).size).toBe(1)
      expect(await find(call)).toMatchObject({ _tag: "Succeeded", latenessMs: 3, attempt: { number: 1 } })
    })
  )

  it(
    "waits for the timer before it says Running for a later call",
    withSystem(roomy, async ({ send, published, advance }) => {
      await send(submitDraft(call, { dueAt: 5_000 }))
      expect(published.of(call).map((draft) => draft.type)).toEqual([
        "ServiceCallSubmitted",
        "ServiceCallScheduled",
        "ScheduleTimer"
      ])
      await advance(5_000)
      await send(dueDraft(call, 5_000))
      await send(outcomeDraft(call, "ExecutionFailed", null))
      expect(published.eventsOf(call)).toEqual([
        "ServiceCallSubmitted",
        "ServiceCallScheduled",
        "ServiceCallRunning",
        "ServiceCallFailed"
      ])
    })
  )

  it(
    "arms the timer again when it is told too early that a call is due",
    withSystem(roomy, async ({ send, published, find }) => {
      await send(submitDraft(call, { dueAt: 5_000 }))
      await send(dueDraft(call, 5_000))
      expect(await find(call)).toMatchObject({ _tag: "Scheduled", isDue: false })
      expect(published.of(call).filter((draft) => draft.type === "ScheduleTimer")).toHaveLength(2)
    })
  )

  it(
    "says that tags have changed when they are others than before, and nothing when only their order is another",
    withSystem(roomy, async ({ send, published, find }) => {
      await send(submitDraft(call, { dueAt: 5_000 }), tagsDraft(call, ["a", "b", "c"]))
      const tagged = await find(call)
      const said = published.length
      for (const same of [
        ["a", "b", "c"],
        ["c", "a", "b"],
        ["b", "a", "c"]
      ])
        await send(tagsDraft(call, same))
      expect(published.slice(said)).toEqual([])
      expect(await find(call)).toEqual(tagged)
      let revision = tagged?.revision ?? 0
      for (const other of [["a", "b"], ["a", "d"], ["d", "a", "b"], [], ["A"], ["a"]]) {
        await send(tagsDraft(call, other))
        revision++
        expect(published.at(-1)).toMatchObject({
          type: "ServiceCallTagsChanged",
          version: revision,
          payload: { tags: other }
        })
        expect(await find(call)).toMatchObject({ revision, tags: other })
      }
    })
  )

  it(
    "hands the sealed request to execution",
    withSystem(roomy, async ({ send, published }) => {
      await send(submitDraft(call, { dueAt: 0 }))
      const command = published.of(call).find((draft) => draft.type === "StartExecution")
      expect(command?.type === "StartExecution" && command.payload.sealed).toEqual(new Uint8Array([7]))
    })
  )

  it(
    "runs the oldest due call of each tenant in turn when places are few, and gives a free place on at once",
    withSystem({ total: 2, perTenant: 2 }, async ({ send, published, find }) => {
      const [a1, a2, a3, a4, b1] = [keyOf(1), keyOf(2), keyOf(3), keyOf(4), keyOf(5, "other")]
      for (const key of [a1, a2, a3, a4, b1]) await send(submitDraft(key, { dueAt: 0 }))
      const running = () => published.filter((draft) => draft.type === "StartExecution").map((d) => d.aggregateId)
      expect(running()).toEqual([a1, a2].map((key) => key.serviceCallId))
      expect(await find(a3)).toMatchObject({ _tag: "Scheduled", isDue: true })
      await send(outcomeDraft(a1, "ExecutionSucceeded", 0))
      await send(outcomeDraft(a2, "ExecutionSucceeded", 0))
      expect(running()).toEqual([a1, a2, a3, b1].map((key) => key.serviceCallId))
    })
  )

  it(
    "lets a waiting call wait for its due time again when the clock has gone back, and still ends the other one",
    withSystem({ total: 1, perTenant: 1 }, async ({ send, published, advance, setTime, find }) => {
      const [first, second] = [keyOf(1), keyOf(2)]
      await advance(10_000)
      await send(submitDraft(first, { dueAt: 10_000 }), submitDraft(second, { dueAt: 10_000 }))
      expect(await find(second)).toMatchObject({ _tag: "Scheduled", isDue: true })
      await setTime(5_000)
      await send(outcomeDraft(first, "ExecutionSucceeded", 10_000))
      expect((await find(first))?._tag).toBe("Succeeded")
      expect(await find(second)).toMatchObject({ _tag: "Scheduled", isDue: false })
      expect(published.of(second).at(-1)?.type).toBe("ScheduleTimer")
      await setTime(10_000)
      await send(dueDraft(second, 10_000))
      expect((await find(second))?._tag).toBe("Running")
    })
  )

  it(
    "keeps a tenant under its own cap while others run",
    withSystem({ total: 10, perTenant: 1 }, async ({ send, find }) => {
      const [a1, a2, b1] = [keyOf(1), keyOf(2), keyOf(3, "other")]
      for (const key of [a1, a2, b1]) await send(submitDraft(key, { dueAt: 0 }))
      expect([await find(a1), await find(a2), await find(b1)].map((found) => found?._tag)).toEqual([
        "Running",
        "Scheduled",
        "Running"
      ])
      await send(cancelDraft(a2))
      await send(outcomeDraft(a1, "ExecutionSucceeded", 0))
      expect((await find(a2))?._tag).toBe("Cancelled")
    })
  )

  it("releases after a start the calls that waited, as far as there are places", async () => {
    const waiting = [1, 2, 3, 4].map((n) => ({ ...awaitRelease(scheduled), ...keyOf(n), dueAt: fromMillis(0) }))
    const system = makeSystem({ total: 3, perTenant: 3 }, [{ ...running, ...keyOf(9) }, ...waiting])
    try {
      await system.advance(1_000)
      const states = await Promise.all(waiting.map(async (call) => (await system.find(call))?._tag))
      expect(states.sort()).toEqual(["Running", "Running", "Scheduled", "Scheduled"])
    } finally {
      await system.stop()
    }
  })

  it("keeps the caps and leaves no place free that somebody waits for, whatever is due, ends or is cancelled", async () => {
    const caps = { total: 2, perTenant: 1 }
    const step = fc.record({ kind: fc.constantFrom("submit", "end", "cancel"), n: fc.nat(11) })
    const keys = Array.from({ length: 12 }, (_, n) => keyOf(n, `tenant-${n % 3}`))
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const system = makeSystem(caps)
        const check = async () => {
          const calls = (await Promise.all(keys.map(system.find))).flatMap((found) => found ?? [])
          const inFlight = calls.filter((one) => one._tag === "Running")
          const waiting = calls.filter((one) => one._tag === "Scheduled")
          const has = (tenantId: string) => inFlight.some((one) => one.tenantId === tenantId)
          expect(inFlight.length).toBeLessThanOrEqual(caps.total)
          expect(new Set(inFlight.map((one) => one.tenantId)).size).toBe(inFlight.length)
          if (inFlight.length < caps.total) expect(waiting.filter((one) => !has(one.tenantId))).toEqual([])
          return inFlight
        }
        try {
          for (const { kind, n } of steps) {
            const key = keys[n] ?? call
            const state = (await system.find(key))?._tag
            if (kind === "submit") await system.send(submitDraft(key, { dueAt: 0 }))
            if (kind === "end" && state === "Running") await system.send(outcomeDraft(key, "ExecutionSucceeded", 0))
            if (kind === "cancel" && state !== undefined) await system.send(cancelDraft(key))
            await check()
          }
          for (let inFlight = await check(); inFlight.length > 0; inFlight = await check()) {
            for (const one of inFlight) await system.send(outcomeDraft(one, "ExecutionFailed", null))
          }
          const ended = await Promise.all(keys.map(async (key) => (await system.find(key))?._tag ?? "unknown"))
          expect(ended.filter((state) => state === "Scheduled" || state === "Running")).toEqual([])
        } finally {
          await system.stop()
        }
      }),
      { numRuns: 30 }
    )
  })

  it("agrees with a plain model under duplicated and reordered messages", async () => {
    const callNumber = fc.nat(4)
    const commands = [
      fc.record({ n: callNumber, inMs: fc.constantFrom(0, 0, 50, 1_000) }).map((made) => new Submit(made.n, made.inMs)),
      callNumber.map((n) => new Due(n)),
      callNumber.map((n) => new Started(n)),
      fc.record({ n: callNumber, ok: fc.boolean() }).map((made) => new Outcome(made.n, made.ok)),
      callNumber.map((n) => new Cancel(n)),
      fc.record({ n: callNumber, tag: fc.constantFrom("x", "y") }).map((made) => new SetTags(made.n, made.tag)),
      fc.constantFrom(1, 50, 1_000).map((millis) => new Advance(millis))
    ]
    await fc.assert(
      fc.asyncProperty(fc.commands(commands, { maxCommands: 40 }), async (run) => {
        const system = makeSystem(roomy)
        try {
          await fc.asyncModelRun(() => ({ model: new Model(), real: system }), run)
        } finally {
          await system.stop()
        }
      }),
      { numRuns: 60 }
    )
  })
})

interface ModelCall {
  status: "Scheduled" | "Running" | "Succeeded" | "Failed" | "Cancelled"
  readonly dueAt: number
  readonly events: Array<string>
  tags: ReadonlyArray<string>
}

/** A call is a status and the list of what was said about it. Nothing else. */
class Model {
  now = 0
  readonly calls = new Map<number, ModelCall>()
  move(n: number, from: ReadonlyArray<ModelCall["status"]>, to: ModelCall["status"]): void {
    const call = this.calls.get(n)
    if (call === undefined || !from.includes(call.status)) return
    call.status = to
    call.events.push(`ServiceCall${to}`)
  }
}

type System = ReturnType<typeof makeSystem>

/** Messages may come twice and in any order that their causes allow; each step compares the call with the model. */
abstract class Step implements fc.AsyncCommand<Model, System> {
  readonly n: number
  constructor(n: number) {
    this.n = n
  }
  abstract message(model: Model): MessageDraft
  abstract expect(model: Model): void
  /** A message about a call can only exist once the call was submitted. */
  check(model: Readonly<Model>): boolean {
    return model.calls.has(this.n)
  }
  async run(model: Model, real: System): Promise<void> {
    const message = this.message(model)
    this.expect(model)
    await real.send(message)
    const expected = model.calls.get(this.n)
    const found = await real.find(keyOf(this.n))
    expect(found?._tag).toBe(expected?.status)
    expect(found?.tags).toEqual(expected?.tags)
    expect(found?.revision).toBe(expected?.events.length)
    expect(real.published.eventsOf(keyOf(this.n))).toEqual(expected?.events)
  }
  toString(): string {
    return `${this.constructor.name}(${Object.values(this).join(", ")})`
  }
}

class Submit extends Step {
  readonly inMs: number
  constructor(n: number, inMs: number) {
    super(n)
    this.inMs = inMs
  }
  override check(): boolean {
    return true
  }
  message(model: Model): MessageDraft {
    return submitDraft(keyOf(this.n), { dueAt: model.calls.get(this.n)?.dueAt ?? model.now + this.inMs })
  }
  expect(model: Model): void {
    if (model.calls.has(this.n)) return
    const events = ["ServiceCallSubmitted", "ServiceCallScheduled"]
    model.calls.set(this.n, { status: "Scheduled", dueAt: model.now + this.inMs, events, tags: ["first"] })
    if (this.inMs === 0) model.move(this.n, ["Scheduled"], "Running")
  }
}

class Due extends Step {
  message(model: Model): MessageDraft {
    return dueDraft(keyOf(this.n), model.calls.get(this.n)?.dueAt ?? 0)
  }
  expect(model: Model): void {
    if (model.now >= (model.calls.get(this.n)?.dueAt ?? 0)) model.move(this.n, ["Scheduled"], "Running")
  }
}

/** Execution speaks only about calls that it was told to start. */
abstract class FromExecution extends Step {
  override check(model: Readonly<Model>): boolean {
    return ["Running", "Succeeded", "Failed"].includes(model.calls.get(this.n)?.status ?? "")
  }
}

class Started extends FromExecution {
  message(): MessageDraft {
    return startedDraft(keyOf(this.n))
  }
  expect(): void {}
}

class Outcome extends FromExecution {
  readonly ok: boolean
  constructor(n: number, ok: boolean) {
    super(n)
    this.ok = ok
  }
  message(): MessageDraft {
    return outcomeDraft(keyOf(this.n), this.ok ? "ExecutionSucceeded" : "ExecutionFailed", 1)
  }
  expect(model: Model): void {
    model.move(this.n, ["Running"], this.ok ? "Succeeded" : "Failed")
  }
}

class Cancel extends Step {
  message(): MessageDraft {
    return cancelDraft(keyOf(this.n))
  }
  expect(model: Model): void {
    model.move(this.n, ["Scheduled"], "Cancelled")
  }
}

class SetTags extends Step {
  readonly tag: string
  constructor(n: number, tag: string) {
    super(n)
    this.tag = tag
  }
  message(): MessageDraft {
    return tagsDraft(keyOf(this.n), [this.tag])
  }
  expect(model: Model): void {
    const call = model.calls.get(this.n)
    if (call === undefined || call.tags[0] === this.tag) return
    call.tags = [this.tag]
    call.events.push("ServiceCallTagsChanged")
  }
}

class Advance implements fc.AsyncCommand<Model, System> {
  readonly millis: number
  constructor(millis: number) {
    this.millis = millis
  }
  check(): boolean {
    return true
  }
  async run(model: Model, real: System): Promise<void> {
    model.now += this.millis
    await real.advance(this.millis)
    expect(await real.now()).toBe(model.now)
  }
  toString(): string {
    return `Advance(${this.millis})`
  }
}
