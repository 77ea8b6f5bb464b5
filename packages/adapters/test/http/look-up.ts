import { readFile, writeFile } from "node:fs/promises"
import { Duration, Effect } from "effect"
import { HostResolver } from "../../src/http/host-resolver.ts"

/** Fewer than would overflow the name server's buffer, and many more than Bun has threads. */
const HANGING = 100
/** Longer than the resolver takes to notice other name servers. */
const SERVERS_CHANGE_MS = 1_100

/** What the program has seen. */
export interface LookedUp {
  /** What was found before and after another name server took the place of the first. */
  readonly first: ReadonlyArray<string>
  readonly second: ReadonlyArray<string>
  /** Milliseconds that other work took while many look-ups hung. */
  readonly lookupMs: number
  readonly fileMs: number
}

const millisOf = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.timed(effect), ([duration]) => Math.round(Duration.toMillis(duration)))

/**
 * A program for tests in a mount namespace: looks names up as the system's resolv.conf says, and then changes that
 * file. Argument: the second name server.
 */
const program = Effect.gen(function* () {
  const { addressesOf } = yield* HostResolver
  const first = yield* addressesOf("one.example")
  yield* Effect.forEach(
    Array.from({ length: HANGING }, (_, n) => `hanging-${n}.example`),
    (host) => Effect.forkScoped(addressesOf(host))
  )
  const [lookupMs, fileMs] = yield* Effect.all(
    [millisOf(addressesOf("two.example")), millisOf(Effect.promise(() => readFile("/etc/hosts")))],
    { concurrency: "unbounded" }
  )
  yield* Effect.promise(() => writeFile("/etc/resolv.conf", `nameserver ${process.argv[2]}\n`))
  yield* Effect.sleep(SERVERS_CHANGE_MS)
  const second = yield* addressesOf("three.example")
  const seen: LookedUp = { first, second, lookupMs, fileMs }
  console.log(JSON.stringify(seen))
})
await Effect.runPromise(Effect.provide(Effect.scoped(program), HostResolver.layer))
process.exit()
