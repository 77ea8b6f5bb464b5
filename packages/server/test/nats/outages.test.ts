import { RELAYS } from "@event-service-agent/platform/outbox"
import { afterAll, describe, expect } from "vitest"
import { itNeeds } from "../faults/needs.ts"
import { removeLeftovers } from "../process.ts"
import { stored } from "../stored.ts"
import { until } from "../until.ts"
import { missingNats } from "./nats-server.ts"
import { limitEvents } from "./streams.ts"
import { World } from "./world.ts"

const STOP_MS_MAX = 10_000
const PLENTY_BYTES = 100_000_000

afterAll(removeLeftovers)

const METRICS = ["esa_outbox_relay_lag_messages", "esa_outbox_relay_oldest_age_seconds"]

/** How far behind the relays are, by /metrics: messages of each, and the seconds that the oldest of each waits. */
const lags = async ({ service }: World): Promise<ReadonlyArray<number>> => {
  const lines = (await (await service.fetch("/metrics")).text()).split("\n")
  return METRICS.flatMap((name) =>
    RELAYS.map((relay) => {
      const line = lines.find((one) => one.startsWith(`${name}{`) && one.includes(`relay="${relay}"`))
      return Number(line?.split(" ").at(-1))
    })
  )
}

const relayRows = ({ service }: World): number =>
  stored<{ readonly rows: number }>(
    service.dbPath,
    "SELECT count(*) AS rows FROM deliveries WHERE consumer LIKE 'relay-%'"
  )[0]?.rows ?? -1

describe("over NATS, the service", () => {
  itNeeds(
    missingNats,
    "starts without the broker, accepts calls and says how far behind it is, and catches up when the broker comes",
    async () => {
      await using world = await World.start({ calls: 120, isBrokerUp: false })
      await world.submitted(1)
      await world.untilDegraded(/not reachable/)
      // There are no events yet: whoever would cause them has not been told of the calls.
      await until("the lag shows", async () => {
        const [messages = 0, , seconds = 0] = await lags(world)
        return messages > 0 && seconds > 0
      })
      await world.nats.start()
      const healedAt = Date.now()
      await world.settled()
      await world.untilReady()
      await until("there is no lag", async () => (await lags(world)).every((value) => value === 0))
      expect(await world.violations(healedAt)).toEqual([])
    }
  )

  itNeeds(
    missingNats,
    "goes on working while there is no room for events, and publishes them when there is",
    async () => {
      await using world = await World.start({ calls: 120 })
      await limitEvents(world.nats.url, 50_000)
      await world.submitted(1)
      const healedAt = Date.now()
      await world.allEnded()
      await world.untilDegraded(/maximum bytes/)
      expect(relayRows(world)).toBeGreaterThan(0)
      await limitEvents(world.nats.url, PLENTY_BYTES)
      await world.settled()
      await world.untilReady()
      expect(await world.violations(healedAt)).toEqual([])
    }
  )

  itNeeds(missingNats, "loses nothing when it and the broker are killed together, three times", async () => {
    await using world = await World.start({ calls: 200, answerAfterMs: 100 })
    const kills: Array<number> = []
    for (const round of [1, 2, 3]) {
      await world.submitted(round / 4 - 1 / 8)
      world.submit(round / 4)
      kills.push(await world.crash())
    }
    const healedAt = Date.now()
    await world.settled()
    expect(await world.violations(healedAt, { kills })).toEqual([])
  })

  itNeeds(missingNats, "stops in time while the broker stands still", async () => {
    await using world = await World.start({ calls: 10 })
    await world.submitted(1)
    await world.settled()
    world.nats.signal("SIGSTOP")
    const startedAt = performance.now()
    expect(await world.service.kill("SIGTERM")).toMatchObject({ exitCode: 0 })
    // The client takes as long as 15 s to give such a broker up.
    expect(performance.now() - startedAt).toBeLessThan(STOP_MS_MAX)
  })

  itNeeds(missingNats, "takes over calls from a run without a broker, and such a run from it", async () => {
    await using world = await World.start({ calls: 150, env: { NATS_URL: "" } })
    await world.submitted(1 / 3)
    await world.switchTo("nats")
    await world.submitted(2 / 3)
    await world.nats.kill()
    await world.submitted(5 / 6)
    expect(relayRows(world)).toBeGreaterThan(0)
    await world.switchTo("embedded")
    const healedAt = Date.now()
    await world.settled()
    expect(relayRows(world)).toBe(0)
    await world.nats.start()
    expect(await world.violations(healedAt, { events: "some" })).toEqual([])
  })
})
