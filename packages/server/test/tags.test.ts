import { afterAll, describe, expect, it } from "vitest"
import { callsOf, type Detail, detailOf, json, submit } from "./client.ts"
import { removeLeftovers, Service } from "./process.ts"
import { stored } from "./stored.ts"

const TENANT = "acme"

afterAll(removeLeftovers)

describe("tags that are set again", () => {
  it("are answered with the call, and neither a revision nor an event tells of them", async () => {
    await using service = await Service.start()
    const { serviceCallId } = await submit(service, TENANT, {
      name: "tagged",
      dueAt: "2999-01-01T00:00:00Z",
      tags: ["a", "b"],
      requestSpec: { method: "GET", url: "https://example.com/" }
    })
    const setTags = async (tags: ReadonlyArray<string>) => {
      const path = `${callsOf(TENANT)}/${serviceCallId}/tags`
      const response = await service.fetch(path, { ...json({ tags }), method: "PUT" })
      const answer: Detail = await response.json()
      return { status: response.status, answer }
    }
    const revision = () => stored(service.dbPath, "SELECT revision FROM service_calls")
    const events = () => stored(service.dbPath, "SELECT type, version FROM outbox WHERE type LIKE 'ServiceCall%'")

    expect((await setTags(["c", "b"])).answer.tags).toEqual(["c", "b"])
    const before = { revision: revision(), events: events(), detail: await detailOf(service, TENANT, serviceCallId) }
    expect(before).toMatchObject({ revision: [{ revision: 3 }] })
    expect(before.events.at(-1)).toEqual({ type: "ServiceCallTagsChanged", version: 3 })
    for (const same of [
      ["c", "b"],
      ["b", "c"]
    ]) {
      expect(await setTags(same)).toEqual({ status: 200, answer: before.detail })
    }
    expect({ revision: revision(), events: events() }).toEqual({ revision: before.revision, events: before.events })
  })
})
