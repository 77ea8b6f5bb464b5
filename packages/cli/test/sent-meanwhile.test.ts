import { Database } from "bun:sqlite"
import { callsOf, type Detail, detailOf, json, TERMINAL } from "@event-service-agent/server/testing/client"
import { countingTarget } from "@event-service-agent/server/testing/counting-target"
import { removeLeftovers, Service } from "@event-service-agent/server/testing/process"
import { until } from "@event-service-agent/server/testing/until"
import { afterAll, describe, expect, it } from "vitest"
import { openDatabase } from "../src/database.ts"
import { watchSends } from "../src/sent-meanwhile.ts"

const TENANTS = ["one", "two", "one", "two", "one"]
/** Nobody listens there. */
const NOWHERE = "127.0.0.1:1"

afterAll(removeLeftovers)

/** Calls that are sent in a row may be late by the same. */
const differ = (path: string): void => {
  using database = new Database(path)
  database.run("PRAGMA busy_timeout = 5000; UPDATE service_calls SET lateness_ms = lateness_ms + 100 * rowid")
}

describe("what is sent meanwhile", () => {
  it("is counted with its lateness: of all tenants, without what came before, was never sent, or waits", async () => {
    const answer = Promise.withResolvers<void>()
    await using target = countingTarget(async ({ path }) => {
      if (path === "/held") await answer.promise
      return new Response("", { status: path === "/broken" ? 500 : 200 })
    })
    await using service = await Service.start({ EGRESS_ALLOW: `${target.host},${NOWHERE}` })
    const submit = async (tenant: string, url: string, more: object = {}) => {
      const body = { name: "call", requestSpec: { method: "GET", url }, ...more }
      const { serviceCallId } = await (await service.fetch(callsOf(tenant), json(body))).json()
      return () => detailOf(service, tenant, serviceCallId)
    }
    const ended = (look: () => Promise<Detail>) =>
      until("it has ended", async () => {
        const detail = await look()
        return TERMINAL.has(detail.status) && detail
      })
    await ended(await submit("one", target.url))

    using database = openDatabase(service.dbPath)
    const sent = watchSends(database)
    expect(sent()).toEqual({ calls: 0, latenessMs: { median: 0, max: 0 } })
    await submit("one", target.url, { dueAt: "2099-01-01T00:00:00Z" })
    const unsent = await ended(await submit("one", `http://${NOWHERE}/`))
    expect(unsent).toMatchObject({ latenessMs: null, outcome: { error: { sent: "no" } } })
    const looks = await Promise.all(
      TENANTS.map((tenant, index) => submit(tenant, `${target.url}/${index === 0 ? "broken" : ""}`))
    )
    await Promise.all(looks.map(ended))
    differ(service.dbPath)
    const latenesses = (await Promise.all(looks.map((look) => look())))
      .map(({ latenessMs }) => latenessMs ?? Number.NaN)
      .toSorted((one, other) => one - other)
    expect(sent()).toEqual({ calls: 5, latenessMs: { median: latenesses[2], max: latenesses[4] } })

    const held = await submit("three", `${target.url}/held`)
    await until("it is under way", async () => (await held()).attempt !== null)
    expect(sent().calls).toBe(6)
    answer.resolve()
    await ended(held)
    expect(sent().calls).toBe(6)
  })
})
