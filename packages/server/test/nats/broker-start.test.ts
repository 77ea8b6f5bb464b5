import { appendFileSync, cpSync } from "node:fs"
import { join } from "node:path"
import { subjectsOf } from "@event-service-agent/schemas/nats"
import { AckPolicy, RetentionPolicy } from "@nats-io/jetstream"
import { connect } from "@nats-io/transport-node"
import { afterAll, describe, expect } from "vitest"
import { submit } from "../client.ts"
import { countingTarget } from "../counting-target.ts"
import { itNeeds } from "../faults/needs.ts"
import { fatalMessageOf, removeLeftovers, runToEnd, Service, temporaryFolder } from "../process.ts"
import { until } from "../until.ts"
import { missingNats, NatsServer } from "./nats-server.ts"
import { EXIT_CONFIG, performs, refusalOf } from "./starting.ts"
import { withManager } from "./streams.ts"

afterAll(removeLeftovers)

const untilDegraded = (service: Service, why: RegExp) =>
  until(`it is degraded because of ${why}`, async () =>
    why.test((await (await service.fetch("/health/ready")).json()).detail ?? "")
  )

describe("a start over NATS", () => {
  itNeeds(
    missingNats,
    "is refused when streams or consumers do not fit, and says what it found and what it needs",
    async () => {
      await using nats = await NatsServer.start()
      const settings = (prefix: string) => ({ NATS_URL: nats.url, NATS_PREFIX: prefix })
      await withManager(nats.url, async (manager) => {
        const subjects = [subjectsOf("foreign").work]
        await manager.streams.add({ name: "foreign-work", subjects, retention: RetentionPolicy.Limits })
        const refusal = await refusalOf(settings("foreign"))
        expect(refusal).toContain('stream foreign-work: retention is "limits", it has to be "workqueue"')
        expect(refusal).toContain('stream foreign-work: it belongs to "nobody"')
        expect(refusal).toContain("stream foreign-work: max_age has no limit, it needs one")
        expect(refusal).toContain("NATS_PREFIX")
        // It has not made the other one either.
        expect((await manager.streams.list().next()).map(({ config }) => config.name)).toEqual(["foreign-work"])

        // Each start here has a database and a key of its own.
        await performs(settings("taken"))
        expect(await refusalOf(settings("taken"))).toMatch(
          /stream taken-work: it belongs to "event-service-agent (\w+) \w+", and this is "event-service-agent (?!\1)\w+ \w+"/
        )

        using folder = temporaryFolder()
        const own = { env: settings("own"), how: { folder: folder.path } }
        await using service = await Service.start(own.env, own.how)
        await service.kill("SIGTERM")
        // The same key, as after a restore elsewhere, but another database.
        using copy = temporaryFolder()
        cpSync(join(folder.path, "secret.key"), join(copy.path, "secret.key"))
        const second = await runToEnd(copy.path, own.env)
        expect(second.exitCode).toBe(EXIT_CONFIG)
        expect(fatalMessageOf(second)).toContain("stream own-work: it belongs to")

        await manager.consumers.delete("own-work", "timer")
        const elsewhere = `${subjectsOf("own").workOf("timer").slice(0, -1)}acme.>`
        const timer = {
          durable_name: "timer",
          filter_subject: elsewhere,
          ack_policy: AckPolicy.Explicit,
          max_batch: 10
        }
        await manager.consumers.add("own-work", timer)
        const refused = await runToEnd(folder.path, own.env)
        expect(refused.exitCode).toBe(EXIT_CONFIG)
        expect(fatalMessageOf(refused)).toContain(
          "consumer timer of stream own-work: max_batch is 10, it has to be unset"
        )
        expect(fatalMessageOf(refused)).toContain(
          "consumer timer of stream own-work: headers_only is not set, it has to be true"
        )
        expect(fatalMessageOf(refused)).toContain(
          `consumer timer of stream own-work: filter_subject is "${elsewhere}", it has to be "${subjectsOf("own").workOf("timer")}"`
        )
      })
    }
  )

  itNeeds(
    missingNats,
    "goes on without a broker; one that comes and refuses it is asked again, and so is one that refuses it later",
    async () => {
      await using nats = await NatsServer.start()
      await nats.kill()
      const again = async (password: string) => {
        await nats.kill()
        appendFileSync(join(nats.folder, "nats.conf"), `authorization { user: agent, password: ${password} }\n`)
        await nats.start()
      }
      const env = { NATS_URL: nats.url, NATS_USER: "agent", NATS_PASSWORD: "right" }
      await using service = await Service.start(env)
      await untilDegraded(service, /not reachable/)
      for (const time of ["when it comes", "later"]) {
        await again("wrong")
        await untilDegraded(service, /refuses these credentials/)
        await again("right")
        const isWell = async () => (await (await service.fetch("/health/ready")).json()).status === "ok"
        await until(`it is well again, ${time}`, isWell, 60_000)
      }
    }
  )

  itNeeds(missingNats, "takes the server that answers", async () => {
    await using dead = await NatsServer.start()
    await using nats = await NatsServer.start()
    await dead.kill()
    await performs({ NATS_URL: `${dead.url},${nats.url}` })
  })

  itNeeds(missingNats, "performs a call whose request is larger than what the broker takes", async () => {
    await using nats = await NatsServer.start("max_payload: 65536")
    const connection = await connect({ servers: nats.url })
    expect(connection.info?.max_payload).toBe(65_536)
    await connection.close()
    await performs({ NATS_URL: nats.url }, "x".repeat(200_000))
  })

  itNeeds(missingNats, "says once that somebody else publishes to its modules, and goes on", async () => {
    await using nats = await NatsServer.start()
    await using target = countingTarget()
    await using service = await Service.start({ NATS_URL: nats.url, EGRESS_ALLOW: target.host })
    const connection = await connect({ servers: nats.url })
    for (const call of ["one", "other"]) connection.publish(`esa.v1.work.timer.acme.${call}`, "{}")
    await connection.drain()
    const told = () => service.logs.filter(({ message }) => message.includes("timer drops messages"))
    await until("it says so", () => told().length > 0)
    const requestSpec = { method: "POST", url: target.url } as const
    await submit(service, "acme", { name: "one", requestSpec, dueAt: new Date(Date.now() + 100).toISOString() })
    await until("it goes on", () => target.count === 1)
    expect(told()).toHaveLength(1)
    expect(told()[0]?.message).toContain("nobody else may publish to esa-work")
  })
})
