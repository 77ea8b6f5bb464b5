import { Layer } from "effect"
import { HttpRouter } from "effect/http"
import { expect, it } from "vitest"
import * as Api from "../src/api.ts"
import { type Gate, makeGate } from "../src/gate.ts"
import { goodBody, layerStores } from "./testing.ts"

const ORIGIN = "http://localhost"
const CALLS = "/api/tenants/acme/service-calls"

/** Lets in one request at a time, and tells of each when it came in and when it left. */
const makeWatchedGate = () => {
  const inner = makeGate({ requests: 1 })
  const departures: Array<Promise<void>> = []
  let onEnter = () => {}
  const gate: Gate = {
    ...inner,
    enter: (isUrgent) => {
      const visit = inner.enter(isUrgent)
      if (visit === undefined) return undefined
      const { promise, resolve } = Promise.withResolvers<void>()
      departures.push(promise)
      onEnter()
      const leave = () => {
        visit.leave()
        resolve()
      }
      return { ...visit, leave }
    }
  }
  const nextEntry = () =>
    new Promise<void>((resolve) => {
      onEnter = resolve
    })
  return { gate, departures, nextEntry }
}

it("a request makes room for the next one however it ends", async () => {
  const { gate, departures, nextEntry } = makeWatchedGate()
  const layer = Api.layer({ hosts: [], gate }).pipe(Layer.provide(layerStores))
  const { handler, dispose } = HttpRouter.toWebHandler(layer, { disableLogger: true })
  const ask = (method: string, path: string, value: unknown, signal: AbortSignal | null = null) => {
    const body = JSON.stringify(value)
    const headers = { host: "localhost", "content-type": "application/json", "content-length": String(body.length) }
    return handler(new Request(ORIGIN + path, { method, headers, body, signal }))
  }
  const accepted = await ask("POST", CALLS, goodBody)
  const others = [await ask("POST", CALLS, {}), await ask("POST", "/nowhere", {}), await ask("PUT", CALLS, {})]
  expect([accepted, ...others].map(({ status }) => status)).toEqual([202, 422, 404, 405])

  // Nobody decides here, so that this waits until the client hangs up.
  const client = new AbortController()
  const entry = nextEntry()
  const waiting = ask("POST", `${accepted.headers.get("location")}/cancel`, {}, client.signal)
  await entry
  client.abort()
  await Promise.all([waiting, ...departures])
  expect((await ask("POST", CALLS, goodBody)).status).toBe(202)
  expect(departures.length).toBe(6)
  await dispose()
})

it("health and metrics are answered however much there is to do", async () => {
  const layer = Api.layer({ hosts: [], gate: makeGate({ requests: 0 }) }).pipe(Layer.provide(layerStores))
  const { handler, dispose } = HttpRouter.toWebHandler(layer, { disableLogger: true })
  const statusOf = async (path: string) =>
    (await handler(new Request(ORIGIN + path, { headers: { host: "localhost" } }))).status
  for (const path of ["/health/live", "/health/ready", "/metrics"]) {
    expect({ path, status: await statusOf(path) }).toEqual({ path, status: 200 })
  }
  expect(await statusOf(CALLS)).toBe(503)
  await dispose()
})
