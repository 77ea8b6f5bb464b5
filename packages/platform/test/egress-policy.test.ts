import { Context, Effect, Layer, Result } from "effect"
import { describe, expect, it } from "vitest"
import { EgressPolicy, parseEgressAllow } from "../src/egress-policy.ts"

const policyOf = (allow = "") => {
  const build = Layer.build(EgressPolicy.layer(Result.getOrThrow(parseEgressAllow(allow))))
  return Context.get(Effect.runSync(Effect.scoped(build)), EgressPolicy)
}
const closed = policyOf()
const PUBLIC_URL = new URL("http://target.example/")
const accepts = (policy: EgressPolicy["Service"], url: string) => Result.isSuccess(policy.judgeUrl(url))

describe("a URL", () => {
  it("is given back in the form to store and to send", () => {
    const href = (text: string) => Result.map(closed.judgeUrl(text), (url) => url.href)
    expect(href("HTTP://Target.EXAMPLE:80/a b?ü#x")).toEqual(Result.succeed("http://target.example/a%20b?%C3%BC#x"))
    expect(href("http://0x08.8.2056/")).toEqual(Result.succeed("http://8.8.8.8/"))
    expect(href("https://[2606:2800:0:0::1]:8443")).toEqual(Result.succeed("https://[2606:2800::1]:8443/"))
  })

  for (const [reason, urls] of [
    [
      /absolute URL/,
      [
        "",
        "/hook",
        "target.example/hook",
        "http://",
        "http://1.2.3.4.5/",
        "http://256.1.1.1/",
        "http://08.1.1.1/",
        "http://4294967296/",
        "http://target.1/",
        "http://8.8.8.8%00.target.example/",
        "http://xn--127-.example/",
        "http://[::1/",
        "http://[fe80::1%25eth0]/",
        "http://[2606:2800::1%eth0]/"
      ]
    ],
    [
      /http or https, not/,
      [
        "file:///etc/hosts",
        "data:,x",
        "s3://bucket/key",
        "ftp://target.example/",
        "localhost:80",
        "ws://target.example/",
        "blob:http://target.example/x",
        "javascript:1"
      ]
    ],
    [
      /user name or password/,
      [
        "http://user@target.example/",
        "https://:secret@target.example/",
        "http://target.example@127.0.0.1/",
        "http://target.example:80@127.0.0.1/"
      ]
    ],
    [
      /inside name/,
      [
        "http://localhost/",
        "http://LOCALHOST.:8080/",
        "http://localhost../",
        "http://localhost%2e/",
        "http://localhost。/",
        "http://ｌｏｃａｌｈｏｓｔ/",
        "http://local\u00adhost/",
        "http://localho\u017ft/",
        "http://./",
        "http://a.localhost/",
        "http://a.localhost./",
        "http://..localhost/",
        "http://local/",
        "http://printer.local/",
        "http://PRINTER.LOCAL./",
        "http://xn--bcher-kva.ⓛⓞⓒⓐⓛ/",
        "http://internal/",
        "http://api.internal./",
        "http://home.arpa/",
        "http://nas.home.arpa/",
        "http://nas.home.arpa./",
        "http://xn--n3h/",
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
        "http://①②⑦.0.0.①/",
        "http://127。0。0。1/",
        "http://127%2e0%2e0%2e1/",
        "http://127.0.0.1\\@target.example/",
        "http:127.0.0.1/",
        "\t http://127.0.0.1/",
        "http://0/",
        "http://[::1]/",
        "http://[::ffff:10.0.0.1]/",
        "http://[0:0:0:0:0:FFFF:A00:1]/",
        "http://[::127.0.0.1]/",
        "http://[fd00::1]/",
        "http://10.1.2.3:8080/"
      ]
    ],
    [
      /leads to a cloud's metadata service, which is never called/,
      [
        "http://169.254.169.254/",
        "http://169.254.170.2/v2/credentials",
        "http://100.100.100.200/",
        "http://168.63.129.16/",
        "http://[fd00:ec2::254]/",
        "http://[fe80::a9fe:a9fe]/",
        "http://[::ffff:a9fe:a9fe]/",
        "http://0xa9fea9fe/",
        "http://metadata/",
        "http://metadata.google.internal./"
      ]
    ],
    [
      /leads to a link-local address, where clouds have their metadata services, which is never called/,
      ["http://169.254.0.1/", "http://169.254.169.253/", "http://[::ffff:169.254.1.1]/", "http://[fe80::1]/"]
    ],
    [
      /leads to the NAT64 or 6to4 form of an IPv4 address, which is never called/,
      ["http://[64:ff9b::8.8.8.8]/", "http://[64:ff9b:1::a9fe:a9fe]/", "http://[2002:a9fe:a9fe::1]/"]
    ],
    [/nothing between two of its dots/, ["http://a..example/", "http://.target.example/", "http://127.0.0.1../"]]
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
      "http://localhost.com",
      "http://mylocalhost.example",
      "http://internal.example",
      "http://home.arpa.example",
      "http://127.0.0.1.example",
      "http://0x7f.example",
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
      "fe80::a9fe:a9fe",
      "fe80::1",
      "169.254.0.1",
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
    ["169.254.169.254:80", /leads to a cloud's metadata service, which stays closed: take it out/],
    ["::ffff:169.254.169.254", /leads to a cloud's metadata service,/],
    ["metadata.google.internal", /leads to a cloud's metadata service,/],
    ["169.254.169.0/24", /leads to a link-local address, where clouds have their metadata services,/],
    ["fe80::/64", /leads to a link-local address,/],
    ["64:ff9b::/96", /leads to the NAT64 or 6to4 form of an IPv4 address,/]
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
