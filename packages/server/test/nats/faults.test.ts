import { afterAll, describe, expect } from "vitest"
import { itNeeds } from "../faults/needs.ts"
import { removeLeftovers } from "../process.ts"
import { until } from "../until.ts"
import { missingNats } from "./nats-server.ts"
import { countIn, EVENTS, repeatSomeWork, shortenDuplicateWindows, WORK, withManager } from "./streams.ts"
import { World } from "./world.ts"

afterAll(removeLeftovers)

describe("under load, the calls and their events outlast", () => {
  itNeeds(missingNats, "a broker that is killed three times", async () => {
    await using world = await World.start({ calls: 240 })
    for (const round of [1, 2, 3]) {
      await world.submitted(round / 4)
      world.submit(round / 4 + 1 / 8)
      await world.nats.kill()
      await world.submitted(round / 4 + 1 / 8)
      await world.nats.start()
    }
    const healedAt = Date.now()
    await world.settled()
    expect(await world.violations(healedAt)).toEqual([])
  })

  itNeeds(missingNats, "a broker that stands still for longer than it may take to acknowledge", async () => {
    await using world = await World.start({ calls: 200 })
    await world.submitted(1 / 4)
    world.nats.signal("SIGSTOP")
    await world.submitted(3 / 4)
    await world.untilDegraded(/timeout/)
    await world.submitted(1)
    world.nats.signal("SIGCONT")
    const healedAt = Date.now()
    await world.untilReady()
    await world.settled()
    expect(await world.violations(healedAt)).toEqual([])
  })

  itNeeds(missingNats, "a broker whose streams are deleted: they are made again", async () => {
    await using world = await World.start({ calls: 200 })
    await world.submitted(1 / 4)
    world.submit(1 / 2)
    await withManager(world.nats.url, async (manager) => {
      await manager.streams.delete(WORK)
      await manager.streams.delete(EVENTS)
    })
    const healedAt = Date.now()
    await world.submitted(1)
    await world.settled()
    expect(await world.republish()).toBeGreaterThan(0)
    expect(await world.violations(healedAt, { events: "republished" })).toEqual([])
  })

  itNeeds(
    missingNats,
    "a broker whose streams are purged: what outside observers have lost is published again",
    async () => {
      await using world = await World.start({ calls: 200 })
      await world.submitted(1 / 2)
      await withManager(world.nats.url, async (manager) => {
        // Nobody takes from the stream for a moment, so that there is something to lose.
        await manager.consumers.delete(WORK, "orchestration")
        await world.submitted(3 / 4)
        for (const stream of [WORK, EVENTS]) expect((await manager.streams.purge(stream)).purged).toBeGreaterThan(0)
      })
      const healedAt = Date.now()
      await world.settled()
      expect(await world.republish()).toBeGreaterThan(0)
      expect(await world.violations(healedAt, { events: "republished" })).toEqual([])
    }
  )

  itNeeds(missingNats, "a broker that is away for longer than it knows what it has stored", async () => {
    await using world = await World.start({ calls: 200 })
    await shortenDuplicateWindows(world.nats.url, 1_000)
    await world.submitted(1 / 4)
    world.submit(1 / 2)
    world.nats.signal("SIGSTOP")
    await world.submitted(1 / 2)
    await world.nats.kill()
    const goneAt = performance.now()
    await world.submitted(1)
    await until("the window is over", () => performance.now() - goneAt > 2_000)
    await world.nats.start()
    const healedAt = Date.now()
    await world.untilReady()
    await world.settled()
    expect(await world.violations(healedAt)).toEqual([])
  })

  itNeeds(missingNats, "a broker that repeats every tenth message for the modules", async () => {
    await using world = await World.start({ calls: 200 })
    const stopRepeating = await repeatSomeWork(world.nats.url)
    await world.submitted(1)
    await world.settled()
    expect(await stopRepeating()).toBeGreaterThan(20)
    expect(await countIn(world.nats.url, WORK)).toBe(0)
    expect(await world.violations(Date.now())).toEqual([])
  })
})
