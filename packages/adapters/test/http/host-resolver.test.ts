import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { live } from "@event-service-agent/platform/testing"
import { Effect, Layer } from "effect"
import { afterAll, describe, expect, it } from "vitest"
import { layer } from "../../src/http/fetch-http-client.ts"
import { HostResolver, LookupFailed } from "../../src/http/host-resolver.ts"
import { dnsServer, layerAsking } from "./dns-server.ts"
import type { LookedUp } from "./look-up.ts"
import { failureOf, get, SHORT_MS } from "./sending.ts"
import { policy } from "./targets.ts"

const LOOK_UP = fileURLToPath(new URL("look-up.ts", import.meta.url))
/** Hanging look-ups of `getaddrinfo` would hold everything up for ten seconds. */
const SOON_MS = 8_000

const addressesOf = (host: string) => Effect.flatMap(HostResolver, (resolver) => resolver.addressesOf(host))

describe("the system's resolver", () => {
  it(
    "finds what the hosts file has",
    live(
      Effect.gen(function* () {
        const addresses = yield* addressesOf("localhost")
        expect(addresses.length).toBeGreaterThan(0)
        expect(addresses.filter((address) => address !== "127.0.0.1" && address !== "::1")).toEqual([])
      }).pipe(Effect.provide(HostResolver.layer))
    )
  )

  it(
    "says why there is no address, and nothing else",
    live(
      Effect.gen(function* () {
        const failure = yield* Effect.flip(addressesOf(`${"x".repeat(64)}.example`))
        expect(failure).toEqual(new LookupFailed({ code: "ENOTFOUND" }))
      }).pipe(Effect.provide(HostResolver.layer))
    )
  )
})

/** With a resolv.conf of its own a program asks the name servers of the test. */
const folder = mkdtempSync(join(tmpdir(), "event-service-dns-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const resolvConf = join(folder, "resolv.conf")
const nameServer = (n: number) => `127.53.${process.pid % 250}.${n}`
writeFileSync(resolvConf, `nameserver ${nameServer(1)}\n`)
const inNamespace = (...command: ReadonlyArray<string>) => [
  ...["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/resolv.conf && exec "$@"', resolvConf],
  ...command
]
const isAllowed = () => {
  try {
    return process.getuid?.() === 0 && Bun.spawnSync(inNamespace("true"), { stderr: "ignore" }).success
  } catch {
    return false
  }
}
const mayMount = isAllowed()
const named = (name: string) => (mayMount ? name : `${name} (not run: this process may not have a mount namespace)`)

describe("the system's resolver, with name servers of the test,", () => {
  ;(mayMount ? it : it.skip)(
    named("does not hold up other work while name servers are silent, and follows a change of name servers"),
    live(
      Effect.gen(function* () {
        const zone = (name: string, address: string) =>
          name.startsWith("hanging") ? ("silent" as const) : { addresses: [address] }
        const first = yield* dnsServer((name) => zone(name, "192.0.2.1"), nameServer(1), 53)
        yield* dnsServer((name) => zone(name, "192.0.2.2"), nameServer(2), 53)
        const out = yield* Effect.promise(() => {
          const child = Bun.spawn(inNamespace(process.execPath, LOOK_UP, nameServer(2)), { stdout: "pipe" })
          return new Response(child.stdout).text()
        })
        const seen: LookedUp = JSON.parse(out)
        expect([seen.first, seen.second]).toEqual([["192.0.2.1"], ["192.0.2.2"]])
        expect(seen.lookupMs).toBeLessThan(SOON_MS)
        expect(seen.fileMs).toBeLessThan(SOON_MS)
        expect(first.questions.filter(([name]) => name.startsWith("hanging")).length).toBeGreaterThan(50)
      })
    )
  )
})

describe("a name server that never answers", () => {
  it(
    "uses up the time of the request, of which nothing is sent, and of no other one",
    live(
      Effect.gen(function* () {
        const silent = yield* dnsServer(() => "silent")
        const client = layer.pipe(Layer.provide(layerAsking(silent)), Layer.provide(policy("")))
        const urls = Array.from({ length: 200 }, (_, n) => `http://hanging-${n}.example/`)
        const failures = yield* Effect.forEach(urls, (url) => failureOf(get(url), SHORT_MS), {
          concurrency: "unbounded"
        }).pipe(Effect.provide(client))
        expect(new Set(failures.map(({ kind, sent }) => `${kind} ${sent}`))).toEqual(new Set(["Timeout no"]))
      })
    )
  )
})
