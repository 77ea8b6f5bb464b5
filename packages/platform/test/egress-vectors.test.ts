import { BlockList } from "node:net"
import { Context, Effect, Layer, Result } from "effect"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { EgressPolicy, parseEgressAllow } from "../src/egress-policy.ts"

const policyOf = (allow = "") => {
  const build = Layer.build(EgressPolicy.layer(Result.getOrThrow(parseEgressAllow(allow))))
  return Context.get(Effect.runSync(Effect.scoped(build)), EgressPolicy)
}
const closed = policyOf()
const opened = policyOf("0.0.0.0/0, ::/0, target.example")
const PUBLIC_URL = new URL("http://target.example/")
const mayReach = (address: string) => closed.mayReach(PUBLIC_URL, address)
const accepts = (url: string) => Result.isSuccess(closed.judgeUrl(url))
const RUNS = { numRuns: 1_000 }

/** Each denied network: its first and last address, and the allowed ones before and after it, if there are. */
const DENIED = `
  0.0.0.0         0.255.255.255   -               1.0.0.0
  10.0.0.0        10.255.255.255  9.255.255.255   11.0.0.0
  100.64.0.0      100.127.255.255 100.63.255.255  100.128.0.0
  127.0.0.0       127.255.255.255 126.255.255.255 128.0.0.0
  169.254.0.0     169.254.255.255 169.253.255.255 169.255.0.0
  172.16.0.0      172.31.255.255  172.15.255.255  172.32.0.0
  192.0.0.0       192.0.0.255     191.255.255.255 192.0.1.0
  192.0.2.0       192.0.2.255     192.0.1.255     192.0.3.0
  192.31.196.0    192.31.196.255  192.31.195.255  192.31.197.0
  192.52.193.0    192.52.193.255  192.52.192.255  192.52.194.0
  192.88.99.0     192.88.99.255   192.88.98.255   192.88.100.0
  192.168.0.0     192.168.255.255 192.167.255.255 192.169.0.0
  192.175.48.0    192.175.48.255  192.175.47.255  192.175.49.0
  198.18.0.0      198.19.255.255  198.17.255.255  198.20.0.0
  198.51.100.0    198.51.100.255  198.51.99.255   198.51.101.0
  203.0.113.0     203.0.113.255   203.0.112.255   203.0.114.0
  224.0.0.0       255.255.255.255 223.255.255.255 -
  168.63.129.16   168.63.129.16   168.63.129.15   168.63.129.17
  ::              1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff - 2000::
  2001::          2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff 2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff 2001:200::
  2001:db8::      2001:db8:ffff:ffff:ffff:ffff:ffff:ffff 2001:db7:ffff:ffff:ffff:ffff:ffff:ffff 2001:db9::
  2002::          2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff 2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff 2003::
  2620:4f:8000::  2620:4f:8000:ffff:ffff:ffff:ffff:ffff 2620:4f:7fff:ffff:ffff:ffff:ffff:ffff 2620:4f:8001::
  3fff::          3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff 3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff 3fff:1000::
  4000::          ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff -`
  .trim()
  .split("\n")
  .map((row) => row.trim().split(/\s+/))

/** The networks once more as `node:net` sees them, which is written apart from the policy. */
const list = new BlockList()
for (const [first = "", last = ""] of DENIED) list.addRange(first, last, first.includes(":") ? "ipv6" : "ipv4")
const isDenied = (address: string) => list.check(address, address.includes(":") ? "ipv6" : "ipv4")

const dotted = (value: number) => [24, 16, 8, 0].map((shift) => (value >>> shift) & 0xff).join(".")
const groups = (value: bigint) =>
  Array.from({ length: 8 }, (_, n) => Number((value >> BigInt(112 - 16 * n)) & 0xffffn).toString(16))
const colons = (value: bigint) => groups(value).join(":")

const numberOf = (address: string): bigint => {
  if (!address.includes(":")) return address.split(".").reduce((sum, octet) => sum * 256n + BigInt(octet), 0n)
  const [before = "", after = ""] = address.split("::")
  const [head, tail] = [before, after].map((part) => part.split(":").filter((group) => group !== ""))
  const zeros = Array(8 - (head?.length ?? 0) - (tail?.length ?? 0)).fill("0")
  return [...(head ?? []), ...zeros, ...(tail ?? [])].reduce((sum, group) => sum * 65_536n + BigInt(`0x${group}`), 0n)
}
const edges = (isWanted: (address: string) => boolean) =>
  DENIED.flatMap(([first = "", last = ""]) => [first, last])
    .filter(isWanted)
    .map(numberOf)

/** Anywhere, and around each first and last address. */
const ipv4 = fc
  .oneof(
    fc.bigInt(0n, 2n ** 32n - 1n),
    fc
      .tuple(fc.constantFrom(...edges((address) => !address.includes(":"))), fc.bigInt(-300n, 300n))
      .map(([edge, offset]) => BigInt.asUintN(32, edge + offset))
  )
  .map(Number)
const ipv6 = fc.oneof(
  fc.bigInt(0n, 2n ** 128n - 1n),
  fc
    .tuple(fc.constantFrom(...edges((address) => address.includes(":"))), fc.bigInt(-(2n ** 81n), 2n ** 81n))
    .map(([edge, offset]) => BigInt.asUintN(128, edge + offset)),
  fc
    .tuple(fc.constantFrom(0n, 0x2000n, 0x2606n, 0x64_ff9bn), fc.bigInt(0n, 2n ** 96n - 1n))
    .map(([a, b]) => (a << 112n) | b)
)

describe("an address", () => {
  for (const [first = "", last = "", before = "-", after = "-"] of DENIED) {
    it(`from ${first} to ${last} is refused, its neighbours are not`, () => {
      expect([first, last].filter(mayReach)).toEqual([])
      const neighbours = [before, after].filter((address) => address !== "-")
      expect(neighbours.filter((address) => !mayReach(address))).toEqual([])
    })
  }

  it("is judged as node:net's BlockList does", () => {
    fc.assert(
      fc.property(ipv4, (value) => mayReach(dotted(value)) === !isDenied(dotted(value))),
      RUNS
    )
    fc.assert(
      fc.property(ipv6, (value) => mayReach(colons(value)) === !isDenied(colons(value))),
      RUNS
    )
  })

  it("mapped into IPv6 is judged as the IPv4 address that it is", () => {
    fc.assert(
      fc.property(ipv4, (value) => {
        const isPublic = !isDenied(dotted(value))
        const last = `${(value >>> 16).toString(16)}:${(value & 0xffff).toString(16)}`
        return [`::ffff:${dotted(value)}`, `::ffff:${last}`, `0:0:0:0:0:FFFF:${last}`].every(
          (address) => mayReach(address) === isPublic
        )
      }),
      RUNS
    )
  })

  it("of IPv4 inside IPv6 in another form is refused, public or not", () => {
    fc.assert(
      fc.property(ipv4, fc.nat(0xffff), (value, any) => {
        const [high, low] = [(value >>> 16).toString(16), (value & 0xffff).toString(16)]
        const forms = [
          `::${dotted(value)}`,
          `::ffff:0:${high}:${low}`,
          `64:ff9b::${high}:${low}`,
          `64:ff9b:1:${any.toString(16)}::${high}:${low}`,
          `2002:${high}:${low}::1`,
          `2001:0:${high}:${low}::${any.toString(16)}`,
          `fe80::5efe:${high}:${low}`,
          `fe80::200:5efe:${high}:${low}`
        ]
        return !forms.some(mayReach)
      }),
      RUNS
    )
  })

  it("that is none, or has a zone, is refused", () => {
    const none = [
      "",
      " ",
      "localhost",
      "target.example",
      "0177.0.0.1",
      "0x8.8.8.8",
      "2130706433",
      "1.2.3",
      "8.8.8.8.",
      "8.8.8.8:80",
      "8.8.8.8/32",
      " 8.8.8.8",
      "8.8.8.8\n",
      "８.8.8.8",
      "fe80::1%eth0",
      "2606:2800::1%eth0",
      "2606:2800::1%25eth0",
      "::ffff:8.8.8.8%1",
      "[2606:2800::1]"
    ]
    expect(none.filter(mayReach)).toEqual([])
    expect(none.filter((address) => opened.mayReach(PUBLIC_URL, address))).toEqual([])
  })
})

/** The ways in which a URL can write an IPv4 address. */
const notations: ReadonlyArray<(value: number) => string> = [
  dotted,
  (value) => `${dotted(value)}.`,
  (value) => String(value),
  (value) => `0x${value.toString(16)}`,
  (value) => `0X${value.toString(16).toUpperCase()}.`,
  (value) => `0${value.toString(8)}`,
  (value) =>
    dotted(value)
      .split(".")
      .map((octet) => `0x${Number(octet).toString(16)}`)
      .join("."),
  (value) =>
    dotted(value)
      .split(".")
      .map((octet) => `000${Number(octet).toString(8)}`)
      .join("."),
  (value) => `${value >>> 24}.${value & 0xffffff}`,
  (value) => `${value >>> 24}.0x${((value >>> 16) & 0xff).toString(16)}.${value & 0xffff}`,
  (value) => dotted(value).replaceAll(/\d/g, (digit) => String.fromCharCode(0xff10 + Number(digit))),
  (value) => dotted(value).replaceAll(/[1-9]/g, (digit) => String.fromCharCode(0x245f + Number(digit))),
  (value) => dotted(value).replaceAll(".", "。"),
  (value) => dotted(value).replaceAll(/[\d.]/g, (character) => `%${character.charCodeAt(0).toString(16)}`),
  (value) => `[::ffff:${dotted(value)}]`,
  (value) => `[0:0:0:0:0:ffff:${(value >>> 16).toString(16)}:${(value & 0xffff).toString(16)}]`
]

describe("a URL with a literal address", () => {
  it("is judged by the address, however it is written", () => {
    const hosts = fc.tuple(ipv4, fc.constantFrom(...notations))
    fc.assert(
      fc.property(hosts, fc.constantFrom("http", "https"), ([value, notation], scheme) => {
        return accepts(`${scheme}://${notation(value)}:8080/path`) === !isDenied(dotted(value))
      }),
      { numRuns: 3 * RUNS.numRuns }
    )
    fc.assert(
      fc.property(ipv6, fc.boolean(), (value, isUpperCase) => {
        const long = groups(value)
          .map((group) => group.padStart(4, "0"))
          .join(":")
        const text = isUpperCase ? long.toUpperCase() : colons(value)
        return accepts(`http://[${text}]/`) === !isDenied(colons(value))
      }),
      RUNS
    )
  })

  it("goes where it was judged to go: the stored form is read as the same address again", () => {
    fc.assert(
      fc.property(ipv4, fc.constantFrom(...notations), (value, notation) => {
        const judged = opened.judgeUrl(`http://${notation(value)}/`)
        return (
          Result.isFailure(judged) ||
          judged.success.hostname === dotted(value) ||
          judged.success.hostname === new URL(`http://[::ffff:${dotted(value)}]`).hostname
        )
      }),
      RUNS
    )
  })
})

describe("what the operator cannot open", () => {
  const closedForGood = fc
    .tuple(fc.constantFrom("169.254.0.0", "169.254.169.254", "169.254.255.255", "100.100.100.200", "168.63.129.16"))
    .map(([address]) => Number(numberOf(address)))

  it("stays closed in every notation, and in the IPv6 forms of it", () => {
    fc.assert(
      fc.property(closedForGood, fc.constantFrom(...notations), (value, notation) => {
        const [high, low] = [(value >>> 16).toString(16), (value & 0xffff).toString(16)]
        return (
          Result.isFailure(opened.judgeUrl(`http://${notation(value)}/`)) &&
          [
            `::ffff:${high}:${low}`,
            `64:ff9b::${high}:${low}`,
            `64:ff9b:1::${high}:${low}`,
            `2002:${high}:${low}::`
          ].every((address) => !opened.mayReach(PUBLIC_URL, address))
        )
      }),
      RUNS
    )
    expect(opened.mayReach(PUBLIC_URL, "127.0.0.1")).toBe(true)
  })
})
