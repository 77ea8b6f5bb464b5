import { getServers, Resolver, setServers } from "node:dns"
import { Clock, Context, Effect, Layer, Schema } from "effect"
import { codeOf } from "../error-code.ts"

/** The name has no address that could be found. Nothing was sent. */
export class LookupFailed extends Schema.TaggedError<LookupFailed>()("LookupFailed", {
  /** As in `ENOTFOUND`, `ETIMEOUT` or `ESERVFAIL`; empty when there is none. */
  code: Schema.String
}) {}

/** Finds the addresses of host names. What it finds is judged by the client: it may be anything. */
export class HostResolver extends Context.Service<
  HostResolver,
  {
    /** All IPv4 and IPv6 addresses that a name has now, the preferred one first. May take as long as it likes. */
    readonly addressesOf: (host: string) => Effect.Effect<ReadonlyArray<string>, LookupFailed>
  }
>()("@event-service-agent/adapters/HostResolver") {
  /**
   * The system's hosts file and name servers.
   *
   * On Linux Bun asks them itself, on a socket. The system's own `getaddrinfo`, which `node:dns` calls, would hold one
   * of the few threads that all of Bun shares for as long as a name server takes to answer: two names that a tenant's
   * own name server never answers stop every look-up, file access and digest of the process. What it has beyond that
   * (mDNS, other sources of nsswitch.conf) is not available here. A look-up that nobody waits for any more goes on for
   * up to half a minute, and costs about 3 KB meanwhile.
   */
  static readonly layer = Layer.sync(HostResolver, () => {
    const follow = followServers()
    return {
      addressesOf: Effect.fnUntraced(function* (host) {
        follow(yield* Clock.currentTimeMillis)
        const found = yield* Effect.tryPromise({ try: () => Bun.dns.lookup(host), catch: lookupFailed })
        return found.map(({ address }) => address)
      })
    }
  })

  /** With these addresses; every other name has none. */
  static readonly layerStatic = (hosts: Readonly<Record<string, ReadonlyArray<string>>>) =>
    Layer.succeed(HostResolver, {
      addressesOf: (host) => {
        const addresses = hosts[host]
        return addresses === undefined
          ? Effect.fail(new LookupFailed({ code: "ENOTFOUND" }))
          : Effect.succeed(addresses)
      }
    })
}

/** How often it is looked whether the system has other name servers now. */
const SERVERS_CHECK_INTERVAL_MS = 1_000

/** Bun reads the system's name servers once; a laptop or a VPN changes them while it runs. */
const followServers = () => {
  let checkedAt = Number.NEGATIVE_INFINITY
  return (now: number): void => {
    if (Math.abs(now - checkedAt) < SERVERS_CHECK_INTERVAL_MS) return
    checkedAt = now
    const servers = new Resolver().getServers()
    if (servers.length > 0 && servers.join() !== getServers().join()) setServers(servers)
  }
}

const lookupFailed = (cause: unknown) => new LookupFailed({ code: codeOf(cause).replace(/^DNS_/, "") })
