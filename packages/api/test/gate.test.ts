import { live } from "@event-service-agent/platform/testing"
import { Effect, Fiber } from "effect"
import { describe, expect, it } from "vitest"
import { makeGate, type Visit } from "../src/gate.ts"

/** A body that comes when it is told to. */
const makeBody = () => {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  return { read: () => promise, arrive: () => resolve("body"), breakOff: () => reject(new Error("closed")) }
}

const entered = (visit: Visit["Service"] | undefined): Visit["Service"] => {
  if (visit === undefined) throw new Error("the gate is shut")
  return visit
}

/** Starts to read, and comes back once the body is awaited. */
const receive = (visit: Visit["Service"], bytes: number, body: ReturnType<typeof makeBody>) =>
  Effect.forkChild(Effect.exit(visit.receive(bytes, body.read)), { startImmediately: true })

const tagOf = Effect.fnUntraced(function* (fiber: Fiber.Fiber<unknown>) {
  return JSON.stringify(yield* Fiber.join(fiber))
})

describe("the gate", () => {
  it("lets in as many as can be worked on, one more for each that leaves, and urgent ones always", () => {
    const gate = makeGate({ requests: 2 })
    const first = entered(gate.enter(false))
    entered(gate.enter(false))
    expect(gate.enter(false)).toBeUndefined()
    entered(gate.enter(true)).leave()
    expect(gate.enter(false)).toBeUndefined()
    first.leave()
    first.leave()
    expect(gate.enter(false)).toBeDefined()
    expect(gate.enter(false)).toBeUndefined()
  })

  it(
    "is idle once the last request has left that is worked on",
    live(
      Effect.gen(function* () {
        const gate = makeGate()
        yield* gate.idle
        const [one, other] = [entered(gate.enter(false)), entered(gate.enter(true))]
        const idle = yield* Effect.forkChild(gate.idle, { startImmediately: true })
        one.leave()
        expect(idle.pollUnsafe()).toBeUndefined()
        other.leave()
        yield* Fiber.join(idle)
      })
    )
  )

  it(
    "does not count a request whose body is still coming in",
    live(
      Effect.gen(function* () {
        const gate = makeGate({ requests: 1 })
        const body = makeBody()
        const slow = entered(gate.enter(false))
        const reading = yield* receive(slow, 10, body)
        const other = entered(gate.enter(false))
        other.leave()
        body.arrive()
        expect(yield* tagOf(reading)).toContain('"body"')
        expect(gate.enter(false)).toBeUndefined()
        slow.leave()
        expect(gate.enter(false)).toBeDefined()
      })
    )
  )

  it(
    "refuses a request whose body has come in when there are too many by then",
    live(
      Effect.gen(function* () {
        const gate = makeGate({ requests: 1 })
        const body = makeBody()
        const slow = entered(gate.enter(false))
        const reading = yield* receive(slow, 10, body)
        const other = entered(gate.enter(false))
        body.arrive()
        expect(yield* tagOf(reading)).toContain("overloaded")
        expect(slow.gaveWay()).toBe(false)
        slow.leave()
        expect(gate.enter(false)).toBeUndefined()
        other.leave()
        expect(gate.enter(false)).toBeDefined()
      })
    )
  )

  it(
    "gives up the bodies that have been coming in the longest when there is no room for another",
    live(
      Effect.gen(function* () {
        const gate = makeGate({ bytes: 100 })
        const bodies = [makeBody(), makeBody(), makeBody()]
        const visits = bodies.map(() => entered(gate.enter(false)))
        const [first, second, third] = yield* Effect.forEach(visits, (visit, index) =>
          receive(visit, 50, bodies[index] ?? makeBody())
        )
        for (const body of bodies) body.arrive()
        if (first === undefined || second === undefined || third === undefined) throw new Error("not started")
        expect(yield* tagOf(first)).toContain("overloaded")
        expect(yield* tagOf(second)).toContain('"body"')
        expect(yield* tagOf(third)).toContain('"body"')
        expect(visits.map((one) => one.gaveWay())).toEqual([true, false, false])

        // The others are being worked on, and keep their room until they leave.
        const late = makeBody()
        const visit = entered(gate.enter(false))
        expect(yield* tagOf(yield* receive(visit, 50, late))).toContain("overloaded")
        for (const one of [...visits, visit]) one.leave()
        const reading = yield* receive(entered(gate.enter(false)), 100, late)
        late.arrive()
        expect(yield* tagOf(reading)).toContain('"body"')
      })
    )
  )

  it(
    "gives no place to a body that comes in after it was given up",
    live(
      Effect.gen(function* () {
        const gate = makeGate({ requests: 2, bytes: 100 })
        const slow = makeBody()
        const slowVisit = entered(gate.enter(false))
        const slowReading = yield* receive(slowVisit, 100, slow)
        const visit = entered(gate.enter(false))
        const body = makeBody()
        const reading = yield* receive(visit, 100, body)
        expect(yield* tagOf(slowReading)).toContain("overloaded")
        slowVisit.leave()
        slow.arrive()
        yield* Effect.promise(slow.read)
        body.arrive()
        expect(yield* tagOf(reading)).toContain('"body"')
        visit.leave()
        expect([1, 2, 3].map(() => gate.enter(false) !== undefined)).toEqual([true, true, false])
      })
    )
  )

  it(
    "keeps more room for a body as it comes, if its length was not announced",
    live(
      Effect.gen(function* () {
        const gate = makeGate({ bytes: 100 })
        const body = makeBody()
        const slow = entered(gate.enter(false))
        const reading = yield* receive(slow, 10, body)
        const growing = Promise.withResolvers<(bytes: number) => void>()
        const other = makeBody()
        const visit = entered(gate.enter(false))
        const otherReading = yield* Effect.forkChild(
          visit.receive(0, (keepRoom) => {
            growing.resolve(keepRoom)
            return other.read()
          }),
          { startImmediately: true }
        )
        const keepRoom = yield* Effect.promise(() => growing.promise)
        keepRoom(90)
        keepRoom(91)
        expect(yield* tagOf(reading)).toContain("overloaded")
        other.arrive()
        expect(yield* Fiber.join(otherReading)).toBe("body")
        visit.leave()
        keepRoom(100)
        const last = makeBody()
        const lastReading = yield* receive(entered(gate.enter(false)), 100, last)
        last.arrive()
        expect(yield* tagOf(lastReading)).toContain('"body"')
      })
    )
  )

  it(
    "forgets a request that is broken off",
    live(
      Effect.gen(function* () {
        const gate = makeGate({ requests: 1, bytes: 100 })
        const body = makeBody()
        const visit = entered(gate.enter(false))
        const reading = yield* receive(visit, 100, body)
        body.breakOff()
        expect(yield* tagOf(reading)).toContain("malformed-json")
        visit.leave()
        const next = entered(gate.enter(false))
        const waiting = yield* Effect.forkChild(next.receive(100, makeBody().read), { startImmediately: true })
        yield* Fiber.interrupt(waiting)
        next.leave()
        const last = makeBody()
        const lastReading = yield* receive(entered(gate.enter(false)), 100, last)
        last.arrive()
        expect(yield* tagOf(lastReading)).toContain('"body"')
      })
    )
  )
})
