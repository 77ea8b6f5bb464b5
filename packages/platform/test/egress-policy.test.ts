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
const PUBLIC_URL = new URL("http://target.example/")
const mayReach = (address: string) => closed.mayReach(PUBLIC_URL, address)
const accepts = (policy: EgressPolicy["Service"], url: string) => Result.isSuccess(policy.judgeUrl(url))

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

describe("an address", () => {
  for (const [first = "", last = "", before = "-", after = "-"] of DENIED) {
    it(`from ${first} to ${last} is refused, its neighbours are not`, () => {
      expect([first, last].filter(mayReach)).toEqual([])
      const neighbours = [before, after].filter((address) => address !== "-")
      expect(neighbours.filter((address) => !mayReach(address))).toEqual([])
    })
  }

  it("is judged as node:net's BlockList does, which is written apart", () => {
    const list = new BlockList()
    for (const [first = "", last = ""] of DENIED) list.addRange(first, last, first.includes(":") ? "ipv6" : "ipv4")
    const agree = (address: string, family: "ipv4" | "ipv6") => mayReach(address) === !list.check(address, family)
    // Near the networks as well as anywhere.
    const octet = fc.oneof(fc.constantFrom(0, 10, 100, 127, 169, 172, 192, 198, 203, 224, 255), fc.nat(255))
    const group = fc.oneof(fc.constantFrom(0, 0x2001, 0x2002, 0x2620, 0x3fff, 0xdb8, 0xfd00), fc.nat(0xffff))
    fc.assert(fc.property(fc.tuple(octet, octet, octet, octet), (parts) => agree(parts.join("."), "ipv4")))
    const groups = fc.array(group, { minLength: 8, maxLength: 8 })
    fc.assert(fc.property(groups, (parts) => agree(parts.map((part) => part.toString(16)).join(":"), "ipv6")))
  })

  it("of IPv4 inside IPv6 is judged as IPv4 when mapped, and refused in every other form", () => {
    expect(["::ffff:93.184.216.34", "::ffff:808:808"].filter((address) => !mayReach(address))).toEqual([])
    const inside = [
      "::ffff:127.0.0.1",
      "::ffff:a00:1",
      "::ffff:a9fe:a9fe",
      "::127.0.0.1",
      "64:ff9b::808:808",
      "2002:808:808::1"
    ]
    expect(inside.filter(mayReach)).toEqual([])
  })

  it("that is none, or has a zone, is refused", () => {
    const none = [
      "",
      "localhost",
      "0177.0.0.1",
      "2130706433",
      "1.2.3",
      "fe80::1%eth0",
      "2606:2800::1%eth0",
      "[2606:2800::1]"
    ]
    expect(none.filter(mayReach)).toEqual([])
  })
})

describe("a URL", () => {
  it("is given back in the form to store and to send", () => {
    const href = (text: string) => Result.map(closed.judgeUrl(text), (url) => url.href)
    expect(href("HTTP://Target.EXAMPLE:80/a b?ü#x")).toEqual(Result.succeed("http://target.example/a%20b?%C3%BC#x"))
    expect(href("http://0x08.8.2056/")).toEqual(Result.succeed("http://8.8.8.8/"))
    expect(href("https://[2606:2800:0:0::1]:8443")).toEqual(Result.succeed("https://[2606:2800::1]:8443/"))
  })

  for (const [reason, urls] of [
    [/absolute URL/, ["", "/hook", "target.example/hook", "http://", "http://[fe80::1%25eth0]/", "http://1.2.3.4.5/"]],
    [
      /http or https, not/,
      ["file:///etc/hosts", "data:,x", "s3://bucket/key", "ftp://target.example/", "localhost:80"]
    ],
    [/user name or password/, ["http://user@target.example/", "https://:secret@target.example/"]],
    [
      /inside name/,
      [
        "http://localhost/",
        "http://LOCALHOST.:8080/",
        "http://localhost../",
        "http://a.localhost/",
        "http://printer.local/",
        "http://api.internal./",
        "http://nas.home.arpa/",
        "http://intranet/",
        "http://intranet./"
      ]
    ],
    [
      /not a public one/,
      [
        "http://127.0.0.1/",
        "http://127.0.0.1./",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://0177.1/",
        "http://１２７.０.０.１/",
        "http://[::1]/",
        "http://[::ffff:10.0.0.1]/",
        "http://10.1.2.3:8080/"
      ]
    ],
    [
      /metadata service/,
      [
        "http://169.254.169.254/",
        "http://[fd00:ec2::254]/",
        "http://[::ffff:a9fe:a9fe]/",
        "http://metadata.google.internal/"
      ]
    ]
  ] as const) {
    it(`is refused with the reason: ${reason.source}`, () => {
      for (const url of urls) {
        const judged = closed.judgeUrl(url)
        expect([url, Result.isFailure(judged) && judged.failure]).toEqual([url, expect.stringMatching(reason)])
      }
    })
  }

  it("with a public name is accepted", () => {
    const urls = [
      "https://example.com",
      "http://localhost.example.com",
      "http://local.example",
      "http://xn--bcher-kva.example./"
    ]
    expect(urls.filter((url) => !accepts(closed, url))).toEqual([])
  })
})

describe("EGRESS_ALLOW", () => {
  it("opens a network, on all ports", () => {
    const policy = policyOf("10.1.0.0/16, fd00:1::/32")
    expect(policy.mayReach(PUBLIC_URL, "10.1.255.255")).toBe(true)
    expect(policy.mayReach(PUBLIC_URL, "::ffff:10.1.0.0")).toBe(true)
    expect(policy.mayReach(PUBLIC_URL, "fd00:1::5")).toBe(true)
    expect(["10.2.0.0", "10.0.255.255", "fd00:2::"].filter((address) => policy.mayReach(PUBLIC_URL, address))).toEqual(
      []
    )
    expect(accepts(policy, "http://10.1.2.3:8080/")).toBe(true)
    expect(accepts(policy, "http://db.internal/")).toBe(false)
  })

  it("opens an address, with a port on that port only", () => {
    const policy = policyOf("127.0.0.1:4000,[::1]:443,10.0.0.1,fd00::1")
    const open = ["http://127.0.0.1:4000/", "https://[::1]/", "http://10.0.0.1:1/", "http://[fd00::1]:9/"]
    expect(open.filter((url) => !accepts(policy, url))).toEqual([])
    const shut = [
      "http://127.0.0.1:4001/",
      "http://127.0.0.1/",
      "http://[::1]/",
      "http://10.0.0.2/",
      "http://localhost:4000/"
    ]
    expect(shut.filter((url) => accepts(policy, url))).toEqual([])
    expect(policy.mayReach(new URL("http://target.example:4000/"), "127.0.0.1")).toBe(true)
  })

  it("opens a host, with whatever it resolves to", () => {
    const policy = policyOf("Intranet, db.internal:8080")
    expect(accepts(policy, "http://intranet./")).toBe(true)
    expect(policy.mayReach(new URL("https://intranet/"), "10.0.0.1")).toBe(true)
    expect(policy.mayReach(new URL("http://db.internal:8080/"), "fd00::1")).toBe(true)
    expect(accepts(policy, "http://db.internal/")).toBe(false)
    expect(policy.mayReach(new URL("http://db.internal/"), "10.0.0.1")).toBe(false)
    expect(accepts(policy, "http://a.intranet/")).toBe(true)
    expect(policy.mayReach(new URL("http://a.intranet/"), "10.0.0.1")).toBe(false)
  })

  it("leaves cloud metadata closed, however wide it opens", () => {
    const policy = policyOf("0.0.0.0/0, ::/0, intranet")
    const metadata = [
      "169.254.169.254",
      "169.254.170.2",
      "100.100.100.200",
      "168.63.129.16",
      "192.0.0.192",
      "fd00:ec2::254",
      "fd20:ce::254",
      "::ffff:169.254.169.254",
      "64:ff9b::a9fe:a9fe",
      "2002:a9fe:a9fe::1"
    ]
    for (const url of [PUBLIC_URL, new URL("http://intranet/")]) {
      expect(metadata.filter((address) => policy.mayReach(url, address))).toEqual([])
    }
    expect(policy.mayReach(PUBLIC_URL, "127.0.0.1")).toBe(true)
    expect(accepts(policy, "http://metadata.google.internal/")).toBe(false)
  })

  it("may be empty", () => {
    expect(parseEgressAllow(" ")).toEqual(Result.succeed([]))
  })

  for (const [entry, problem] of [
    ["10.1.0.0/8", /is no network, address has non-zero host bits\. Write/],
    ["10.0.0.0/33", /is no network/],
    ["http://intranet:80", /is no network/],
    ["*.corp", /is no host\. Write a host \(intranet/],
    ["user@intranet", /is no host/],
    ["intranet:", /is no host/],
    ["intranet:http", /is no host/],
    ["a b", /is no host/],
    ["", /is no host/],
    ["intranet:0", /port outside 1 to 65535/],
    ["127.0.0.1:65536", /port outside 1 to 65535/],
    ["169.254.169.254:80", /metadata service/],
    ["169.254.169.0/24", /metadata service/],
    ["::ffff:169.254.169.254", /metadata service/],
    ["metadata.google.internal", /metadata service/]
  ] as const) {
    it(`refuses "${entry}" and names its position`, () => {
      const parsed = parseEgressAllow(`127.0.0.1,${entry}`)
      const failure = Result.isFailure(parsed) ? parsed.failure : ""
      expect(failure).toMatch(/^Entry 2 /)
      expect(failure).toMatch(problem)
    })
  }

  it("reports all wrong entries at once", () => {
    const parsed = parseEgressAllow("*,127.0.0.1,10.0.0.1/8")
    expect(Result.isFailure(parsed) && parsed.failure).toMatch(/Entry 1 .*; Entry 3 /)
  })
})
