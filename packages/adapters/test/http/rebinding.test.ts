import { createServer } from "node:net"
import { live } from "@event-service-agent/platform/testing"
import { Effect, Layer, Result } from "effect"
import { afterAll, describe, expect, it } from "vitest"
import { layer } from "../../src/http/fetch-http-client.ts"
import { HostResolver } from "../../src/http/host-resolver.ts"
import { dnsServer, layerAsking, type Zone } from "./dns-server.ts"
import { publicLoopbackAddress } from "./loopback-address.ts"
import { get, send } from "./sending.ts"
import { OK, policy } from "./targets.ts"

const SENDS = 1_000
const SIDE_BY_SIDE = 20
const ALIAS = "alias.example"
const TYPE_A = 1

const outside = publicLoopbackAddress()
afterAll(() => outside?.[Symbol.dispose]())
const PUBLIC = outside?.address ?? ""
const test = outside === undefined ? it.skip : it
const named = (name: string) =>
  outside === undefined ? `${name} (not run: this process may not add an address to the loopback interface)` : name

/** Counts the connections to an address of this machine. */
const counting = (host: string, port: number) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly port: number; readonly count: () => number; readonly close: () => void }>((resume) => {
      let count = 0
      const server = createServer((socket) => {
        count++
        socket.on("error", () => {}).on("data", () => socket.end(OK))
      })
      server.listen(port, host, () => {
        const address = server.address()
        const chosen = typeof address === "string" ? 0 : (address?.port ?? 0)
        resume(Effect.succeed({ port: chosen, count: () => count, close: () => server.close() }))
      })
    }),
    ({ close }) => Effect.sync(close)
  )

/** One port on both sides: whoever asks for the name again after judging it ends up inside. */
const bothSides = Effect.gen(function* () {
  const inside = yield* counting("127.0.0.1", 0)
  const outer = yield* counting(PUBLIC, inside.port)
  return { inside, outer, url: `http://rebinding.example:${inside.port}/` }
})

/** What the name's owner makes of it, in turn or at random. */
const ZONES: ReadonlyArray<Zone> = [
  { addresses: [PUBLIC] },
  { addresses: ["127.0.0.1"] },
  { addresses: [PUBLIC, "127.0.0.1"] },
  { addresses: ["127.0.0.1", PUBLIC] },
  { alias: ALIAS, addresses: [PUBLIC] },
  { alias: ALIAS, addresses: ["127.0.0.1"] },
  { addresses: [PUBLIC, "::1"] },
  { addresses: [PUBLIC, "::ffff:127.0.0.1"] },
  { addresses: [PUBLIC, "64:ff9b::7f00:1"] },
  { addresses: ["0.0.0.0"] },
  { addresses: ["169.254.169.254"] },
  { addresses: [] }
]

const zonesAtRandom = () => ZONES[Math.floor(Math.random() * ZONES.length)] ?? "silent"
const zonesInTurn = () => {
  let asked = 0
  return (_: string, type: number) => (type === TYPE_A ? ZONES[asked++ % 2] : undefined) ?? { addresses: [] }
}

/** Passes on what a resolver finds, and keeps it. */
const layerNoting = (found: Array<ReadonlyArray<string>>) =>
  Layer.effect(
    HostResolver,
    Effect.map(HostResolver, ({ addressesOf }) => ({
      addressesOf: (host: string) =>
        Effect.tap(addressesOf(host), (addresses) => Effect.sync(() => found.push(addresses)))
    }))
  )

describe("a name that changes what it resolves to", () => {
  for (const [how, zones] of [
    ["at random", () => zonesAtRandom],
    ["in turn", zonesInTurn]
  ] as const) {
    test(
      named(`${how} reaches the inside 0 times in ${SENDS}, and the outside as often as it was judged to be there`),
      live(
        Effect.gen(function* () {
          const { inside, outer, url } = yield* bothSides
          const server = yield* dnsServer(zones())
          const found: Array<ReadonlyArray<string>> = []
          const client = layer.pipe(
            Layer.provide(layerNoting(found).pipe(Layer.provide(layerAsking(server)))),
            Layer.provide(policy(""))
          )
          const results = yield* Effect.forEach(Array(SENDS).fill(url), () => Effect.result(send(get(url))), {
            concurrency: SIDE_BY_SIDE
          }).pipe(Effect.provide(client))

          expect(inside.count()).toBe(0)
          const judgedPublic = found.filter((addresses) => addresses.every((address) => address === PUBLIC)).length
          expect([results.filter(Result.isSuccess).length, outer.count()]).toEqual([judgedPublic, judgedPublic])
          expect(judgedPublic).toBeGreaterThan(SENDS / 50)

          const failures = results.filter(Result.isFailure).map(({ failure }) => failure)
          const outcomes = new Set(failures.map(({ kind, sent, sentAt }) => `${kind} ${sent} ${sentAt}`))
          expect(outcomes).toEqual(
            new Set(["BlockedDestination no null", ...(found.length < SENDS ? ["DnsFailed no null"] : [])])
          )
          const blocked = failures.filter(({ kind }) => kind === "BlockedDestination")
          expect(new Set(blocked.map(({ message }) => message))).toEqual(
            new Set([
              "The target has an address that may not be called from here. The operator can open it with EGRESS_ALLOW, on each executor"
            ])
          )
          expect(blocked.length).toBe(found.length - judgedPublic)
        })
      )
    )
  }

  test(
    named("does reach the inside through a client that asks for it again after judging it"),
    live(
      Effect.gen(function* () {
        const { inside, url } = yield* bothSides
        const server = yield* dnsServer(zonesAtRandom)
        const sendAskingTwice = Effect.gen(function* () {
          const { addressesOf } = yield* HostResolver
          const judged = yield* addressesOf("rebinding.example")
          const [again] = judged.every((address) => address === PUBLIC) ? yield* addressesOf("rebinding.example") : []
          if (again !== PUBLIC && again !== "127.0.0.1") return
          yield* Effect.promise(() => fetch(url.replace("rebinding.example", again), { keepalive: false }))
        })
        yield* Effect.forEach(Array(SENDS).fill(url), () => Effect.ignore(sendAskingTwice), {
          concurrency: SIDE_BY_SIDE
        }).pipe(Effect.provide(layerAsking(server)))
        expect(inside.count()).toBeGreaterThan(0)
      })
    )
  )
})
