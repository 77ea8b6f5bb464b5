import { Context, Layer, Result } from "effect"
import { IpNetwork, NetAddress } from "effect/net"

/** One destination that the operator opened; without a port, all of its ports. */
type Opened = { readonly port?: number | undefined } & (
  | { readonly host: string }
  | { readonly network: IpNetwork.IpNetwork }
)

/** The destinations that may be called although they are not public. */
export type EgressAllow = ReadonlyArray<Opened>

/** Where requests may go. By default only to public addresses. */
export class EgressPolicy extends Context.Service<
  EgressPolicy,
  {
    /**
     * Judges what can be seen without a look-up: scheme, user information, name, literal address. Succeeds with the
     * URL in its normal form, the one to store and to send; fails with the reason, for the one who wrote the URL.
     */
    readonly judgeUrl: (text: string) => Result.Result<URL, string>
    /**
     * Judges an address that the URL's host resolved to. If any of them is refused, the host is. The refusal has no
     * reason on purpose: it would tell about the inside.
     */
    readonly mayReach: (url: URL, address: string) => boolean
  }
>()("@event-service-agent/platform/EgressPolicy") {
  static readonly layer = (allow: EgressAllow) =>
    Layer.sync(EgressPolicy, () => {
      const hostVerdicts = new Verdicts<string | null>()
      const addressVerdicts = new Verdicts<boolean>()
      return {
        judgeUrl: (text) => {
          const url = URL.parse(text)
          if (url === null) return Result.fail("Expected an absolute URL, for example https://example.com/hook")
          const refusal = judgeForm(url) ?? hostVerdicts.of(url.origin, () => judgeHost(url, allow) ?? null)
          return refusal === null ? Result.succeed(url) : Result.fail(refusal)
        },
        mayReach: (url, address) =>
          addressVerdicts.of(`${url.origin} ${address}`, () => {
            const ip = NetAddress.ipFromString(address)
            return Result.isSuccess(ip) && judgeAddress(ip.success, url, allow) === undefined
          })
      }
    })
}

/** Verdicts that are remembered, and how long what they are about may be: whoever submits calls chooses both. */
const VERDICTS_MAX = 1_000
const VERDICT_KEY_CHARACTERS_MAX = 300

/**
 * The verdicts of late. What is allowed never changes, so that one about the same scheme, host, port and address would
 * be the same again.
 */
class Verdicts<A extends string | boolean | null> {
  readonly #byKey = new Map<string, A>()

  of(key: string, judge: () => A): A {
    const known = this.#byKey.get(key)
    if (known !== undefined) return known
    const verdict = judge()
    if (key.length > VERDICT_KEY_CHARACTERS_MAX) return verdict
    if (this.#byKey.size >= VERDICTS_MAX) this.#byKey.clear()
    this.#byKey.set(key, verdict)
    return verdict
  }
}

/**
 * Reads `EGRESS_ALLOW`: entries separated by commas, each a host, an address or a CIDR network; host and address with
 * or without a port. The failure names each wrong entry by its position.
 */
export const parseEgressAllow = (text: string): Result.Result<EgressAllow, string> => {
  const entries = text.trim() === "" ? [] : text.split(",").map((entry, index) => parseEntry(entry.trim(), index + 1))
  const wrong = entries.filter(Result.isFailure)
  return wrong.length === 0
    ? Result.succeed(entries.filter(Result.isSuccess).map((entry) => entry.success))
    : Result.fail(wrong.map((entry) => entry.failure).join("; "))
}

const networks = (text: string) => text.split(" ").map(IpNetwork.fromStringUnsafe)

const IPV4_DENIED = networks(
  "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 " +
    "192.31.196.0/24 192.52.193.0/24 192.88.99.0/24 192.168.0.0/16 192.175.48.0/24 198.18.0.0/15 198.51.100.0/24 " +
    "203.0.113.0/24 224.0.0.0/4 240.0.0.0/4 168.63.129.16/32"
)
const IPV6_GLOBAL = IpNetwork.fromStringUnsafe("2000::/3")
const IPV6_DENIED = networks("2001::/23 2001:db8::/32 2002::/16 2620:4f:8000::/48 3fff::/20")

/** Not even the operator opens these: whoever reaches a cloud's metadata service can become the machine. */
const NEVER_OPENED: ReadonlyArray<{ readonly what: string; readonly networks: ReadonlyArray<IpNetwork.IpNetwork> }> = [
  {
    what: "a cloud's metadata service",
    networks: networks(
      "169.254.169.254/32 169.254.170.2/32 169.254.170.23/32 169.254.0.23/32 100.100.100.200/32 168.63.129.16/32 " +
        "192.0.0.192/32 fd00:ec2::/32 fd20:ce::254/128 fd00:42::42/128 fe80::a9fe:a9fe/128"
    )
  },
  {
    // Any of them may be one: each cloud has its own, and some have several.
    what: "a link-local address, where clouds have their metadata services",
    networks: networks("169.254.0.0/16 fe80::/10")
  },
  {
    // Of any IPv4 address, those above included.
    what: "the NAT64 or 6to4 form of an IPv4 address",
    networks: networks("64:ff9b::/96 64:ff9b:1::/48 2002::/16")
  }
]
const METADATA_NAMES = new Set([
  "metadata",
  "metadata.google.internal",
  "metadata.goog",
  "metadata.tencentyun.com",
  "instance-data",
  "instance-data.ec2.internal"
])
const INSIDE_NAME = /^[^.]*$|(^|\.)(localhost|local|internal|home\.arpa)$/
const EMPTY_LABEL = /^\.|\.\./

/** Names nothing that the writer of the URL did not. */
const howToOpen = (url: URL) => `Whoever runs this service can open it: EGRESS_ALLOW=${nameOf(url)}:${portOf(url)}`
const neverCalled = (what: string) => `The host leads to ${what}, which is never called`

/** The reason to refuse the URL for what is in it beside host and port, if there is one. */
const judgeForm = (url: URL): string | undefined => {
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    return `Expected http or https, not ${url.protocol.slice(0, -1)}`
  }
  return url.username === "" && url.password === ""
    ? undefined
    : "Has a user name or password in it: send an Authorization header instead"
}

/** @param url has http or https, and so an origin of its own */
const judgeHost = (url: URL, allow: EgressAllow): string | undefined => {
  const literal = literalOf(url)
  return literal === undefined ? judgeName(url, allow) : judgeAddress(literal, url, allow)
}

/** The reason to refuse the URL for the name of its host, if there is one. */
const judgeName = (url: URL, allow: EgressAllow): string | undefined => {
  if (METADATA_NAMES.has(nameOf(url))) return neverCalled("a cloud's metadata service")
  if (isNameOpened(url, allow)) return undefined
  if (!INSIDE_NAME.test(nameOf(url))) {
    return EMPTY_LABEL.test(url.hostname) ? "The host has nothing between two of its dots" : undefined
  }
  return (
    "The host is an inside name: localhost, a name without a dot, or one below .localhost, .local, .internal or " +
    `.home.arpa. ${howToOpen(url)}`
  )
}

/** @param url how the address was come by: an opened host opens what it resolves to */
const judgeAddress = (address: NetAddress.IpAddress, url: URL, allow: EgressAllow): string | undefined => {
  const ip = NetAddress.toCanonical(address)
  const never = NEVER_OPENED.find((closed) => isIn(closed.networks, ip))
  if (never !== undefined) return neverCalled(never.what)
  const isPublic = NetAddress.isIpv4Address(ip)
    ? !isIn(IPV4_DENIED, ip)
    : isIn([IPV6_GLOBAL], ip) && !isIn(IPV6_DENIED, ip)
  const isOpened =
    isNameOpened(url, allow) ||
    allow.some((opened) => "network" in opened && isIn([opened.network], ip) && isPortOpened(opened, url))
  return isPublic || isOpened ? undefined : `The address is not a public one. ${howToOpen(url)}`
}

const isIn = (list: ReadonlyArray<IpNetwork.IpNetwork>, ip: NetAddress.IpAddress) =>
  list.some((network) => IpNetwork.contains(network, ip))

const isNameOpened = (url: URL, allow: EgressAllow) =>
  allow.some((opened) => "host" in opened && opened.host === nameOf(url) && isPortOpened(opened, url))

const isPortOpened = (opened: Opened, url: URL) => opened.port === undefined || opened.port === portOf(url)

/** The host without the dot that may end a full name. */
const nameOf = (url: URL) => url.hostname.replace(/\.+$/, "")

const portOf = (url: URL) => Number(url.port || (url.protocol === "https:" ? 443 : 80))

/** The address that the URL names directly. `URL` has turned every notation of IPv4 into the dotted one. */
const literalOf = (url: URL): NetAddress.IpAddress | undefined =>
  // Asked first, because a refusal costs ten times as much as this look.
  /^[\d.]+$|^\[/.test(url.hostname)
    ? Result.getOrUndefined(NetAddress.ipFromString(url.hostname.replace(/^\[(.*)\]$/, "$1")))
    : undefined

const parseEntry = (entry: string, position: number): Result.Result<Opened, string> => {
  const wrong = (problem: string) => Result.fail(`Entry ${position} ${problem}`)
  const staysClosed = (what: string) => wrong(`leads to ${what}, which stays closed: take it out`)
  const open = (network: IpNetwork.IpNetwork, port?: number) => {
    const never = NEVER_OPENED.find((closed) => closed.networks.some((one) => IpNetwork.containsNetwork(one, network)))
    return never === undefined ? Result.succeed({ network, port }) : staysClosed(never.what)
  }

  if (entry.includes("/")) {
    const network = IpNetwork.fromString(entry)
    return Result.isSuccess(network)
      ? open(network.success)
      : wrong(`is no network, ${network.failure.message}. ${EXPECTED_ENTRY}`)
  }
  const address = NetAddress.ipFromString(entry)
  if (Result.isSuccess(address)) return open(networkOf(address.success))

  const [, host = "", digits] = /^(\[[^\]]*\]|[^:]*)(?::(\d+))?$/.exec(entry) ?? []
  if (host === "" || !URL.canParse(`http://${host}/`)) return wrong(`is no host. ${EXPECTED_ENTRY}`)
  const port = digits === undefined ? undefined : Number(digits)
  if (port !== undefined && (port < 1 || port > 65_535)) return wrong("has a port outside 1 to 65535")
  const url = new URL(`http://${host}/`)
  const literal = literalOf(url)
  if (literal !== undefined) return open(networkOf(literal), port)
  if (url.href !== `http://${url.hostname}/` || !/^[a-z0-9._-]+$/.test(url.hostname)) {
    return wrong(`is no host. ${EXPECTED_ENTRY}`)
  }
  return METADATA_NAMES.has(nameOf(url))
    ? staysClosed("a cloud's metadata service")
    : Result.succeed({ host: nameOf(url), port })
}

const networkOf = (address: NetAddress.IpAddress): IpNetwork.IpNetwork => {
  const ip = NetAddress.toCanonical(address)
  return IpNetwork.makeUnsafe(ip, NetAddress.width(ip))
}

const EXPECTED_ENTRY = "Write a host (intranet.example:8080), an address (127.0.0.1:4000) or a network (10.1.0.0/16)"
