import { Arbitrary, Effect, Equal, Result, Schema } from "effect"
import { describe, expect, it } from "vitest"
import { ServiceCallId, TenantId } from "../src/ids.ts"
import { catalogue, consumersOf } from "../src/messages/catalogue.ts"
import { Tags } from "../src/tags.ts"

const RUNS = 50
const SEED = 20_261_121

describe("messages", () => {
  for (const definition of Object.values(catalogue)) {
    it(`${definition.type} comes back from JSON as it was`, async () => {
      const json = Schema.fromJsonString(definition.envelope)
      // The union of the catalogue's codecs takes and gives the same type for each entry.
      const encode = Schema.encodeUnknownSync(json)
      const decode = Schema.decodeUnknownSync(json)
      const isKept = (message: unknown) => {
        const decoded = decode(encode(message))
        return Equal.equals(decoded, message) && encode(decoded) === encode(message)
      }
      const anyMessage = Arbitrary.schema(definition.envelope)
      const result = await Effect.runPromise(Arbitrary.checkEffect(anyMessage, isKept, { runs: RUNS, seed: SEED }))
      expect(Arbitrary.formatCheckFailure(result)).toBeUndefined()
    })

    it(`${definition.type} is refused under another name, without a tenant, or with a wrong id`, () => {
      const [message] = Effect.runSync(
        Arbitrary.sampleEffect(Arbitrary.schema(definition.envelope), { seed: SEED, count: 1 })
      )
      const encoded = Schema.encodeUnknownSync(definition.envelope)(message)
      const decode = Schema.decodeUnknownResult(definition.envelope)
      expect(Result.isSuccess(decode(encoded))).toBe(true)
      for (const change of [
        { type: "Another" },
        { tenantId: undefined },
        { tenantId: "not a tenant!" },
        { aggregateId: "1" },
        { version: 0 },
        { timestamp: "yesterday" },
        { payload: undefined }
      ]) {
        expect([change, Result.isFailure(decode({ ...encoded, ...change }))]).toEqual([change, true])
      }
    })
  }

  it("go to the modules that design names, and domain events to observers alone", () => {
    const routes = Object.fromEntries(Object.values(catalogue).map(({ type }) => [type, consumersOf(type).join()]))
    expect(routes).toEqual({
      SubmitServiceCall: "orchestration",
      CancelServiceCall: "orchestration",
      SetServiceCallTags: "orchestration",
      ScheduleTimer: "timer",
      CancelTimer: "timer",
      StartExecution: "execution",
      DueTimeReached: "orchestration",
      ExecutionStarted: "orchestration",
      ExecutionSucceeded: "orchestration",
      ExecutionFailed: "orchestration",
      ServiceCallSubmitted: "",
      ServiceCallScheduled: "",
      ServiceCallRunning: "",
      ServiceCallSucceeded: "",
      ServiceCallFailed: "",
      ServiceCallCancelled: "",
      ServiceCallTagsChanged: ""
    })
  })
})

describe("ids and tags", () => {
  const accepts = (schema: Schema.Decoder<unknown>, value: unknown) =>
    Result.isSuccess(Schema.decodeUnknownResult(schema)(value))

  it("take what they name and nothing else", () => {
    for (const name of ["a", "Tenant_1-x", "x".repeat(64)]) expect(accepts(TenantId, name)).toBe(true)
    for (const name of ["", "x".repeat(65), "a b", "a/b", "a.b", "ü", "a\n"])
      expect(accepts(TenantId, name)).toBe(false)
    expect(accepts(ServiceCallId, "019a53b1-7c00-7d4e-8a51-0f6c1d2e3b4a")).toBe(true)
    for (const id of ["019A53B1-7C00-7D4E-8A51-0F6C1D2E3B4A", "019a53b1", "", "../../etc/passwd"]) {
      expect(accepts(ServiceCallId, id)).toBe(false)
    }
  })

  it("are at most 20 different tags without control characters", () => {
    const tags = Array.from({ length: 20 }, (_, n) => `tag ${n}`)
    expect(accepts(Tags, tags)).toBe(true)
    for (const wrong of [[...tags, "one more"], ["a", "a"], [""], [" a"], ["a "], ["a\u0000"], ["x".repeat(65)], "a"]) {
      expect([wrong, accepts(Tags, wrong)]).toEqual([wrong, false])
    }
  })
})
