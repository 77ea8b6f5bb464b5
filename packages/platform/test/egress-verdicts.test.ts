import { Context, Effect, Layer, Result } from "effect"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { EgressPolicy, parseEgressAllow } from "../src/egress-policy.ts"

const policy = () => {
  const allow = Result.getOrThrow(parseEgressAllow("127.0.0.1:8080, intranet, secure.internal:443, 10.1.0.0/16"))
  return Context.get(Effect.runSync(Effect.scoped(Layer.build(EgressPolicy.layer(allow)))), EgressPolicy)
}

const HOSTS = ["127.0.0.1", "2130706433", "[::1]", "10.1.2.3", "10.2.2.3", "8.8.8.8", "intranet", "secure.internal"]
const NAMES = ["target.example", "TARGET.example.", "localhost", "metadata.goog", `${"long.".repeat(60)}example`]
const url = fc
  .tuple(
    fc.constantFrom("http", "https", "ws"),
    fc.constantFrom("", "user@", ":secret@"),
    fc.constantFrom(...HOSTS, ...NAMES),
    fc.constantFrom("", ":80", ":443", ":8080"),
    fc.constantFrom("/", "/hook?a=1", "/@8.8.8.8:80")
  )
  .map(([scheme, user, host, port, path]) => `${scheme}://${user}${host}${port}${path}`)
const address = fc.constantFrom(
  "127.0.0.1",
  "::ffff:127.0.0.1",
  "10.1.0.1",
  "10.2.0.1",
  "8.8.8.8",
  "169.254.169.254",
  ""
)

describe("a policy that has judged before", () => {
  it("judges as one that has not: by scheme, user, host, port and address, whatever came earlier", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(url, address), { minLength: 2, maxLength: 60 }), (asked) => {
        const experienced = policy()
        for (const [text, to] of asked) {
          const judged = policy().judgeUrl(text)
          expect(Result.map(experienced.judgeUrl(text), ({ href }) => href)).toEqual(
            Result.map(judged, ({ href }) => href)
          )
          const target = new URL(text)
          expect([text, to, experienced.mayReach(target, to)]).toEqual([text, to, policy().mayReach(target, to)])
        }
      })
    )
  })

  it("judges new hosts and addresses after thousands of others", () => {
    const experienced = policy()
    for (let n = 0; n < 3_000; n++) {
      const inside = `10.${n % 2 === 0 ? 1 : 2}.${n >> 8}.${n & 0xff}`
      expect(Result.isSuccess(experienced.judgeUrl(`http://${inside}/`))).toBe(n % 2 === 0)
      expect(experienced.mayReach(new URL(`http://host-${n}.example/`), inside)).toBe(n % 2 === 0)
    }
  })
})
