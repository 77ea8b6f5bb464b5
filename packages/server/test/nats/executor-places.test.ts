import { Database } from "bun:sqlite"
import { afterAll, describe, expect } from "vitest"
import { detailOf, submit, TERMINAL } from "../client.ts"
import { countingTarget } from "../counting-target.ts"
import { itNeeds } from "../faults/needs.ts"
import { removeLeftovers, Service, temporaryFolder } from "../process.ts"
import { changeStored, stored } from "../stored.ts"
import { until } from "../until.ts"
import { startExecutor } from "./executor.ts"
import { missingNats, NatsServer } from "./nats-server.ts"

const TENANT = "acme"
/** Below what the broker would need to give a message that is held back to somebody else. */
const SOON_MS = 12_000

afterAll(removeLeftovers)

const ended = (service: Service, id: string, deadlineMs = SOON_MS) =>
  until(
    "it has ended",
    async () => {
      const call = await detailOf(service, TENANT, id)
      return TERMINAL.has(call.status) && call
    },
    deadlineMs
  )

describe("executors elsewhere", () => {
  itNeeds(missingNats, "take no more than they have places for, so that others can have the rest", async () => {
    await using nats = await NatsServer.start()
    const held = Promise.withResolvers<void>()
    await using target = countingTarget(async ({ path }) => {
      if (path === "/slow") await held.promise
      return new Response("ok")
    })
    const env = { NATS_URL: nats.url, EGRESS_ALLOW: target.host }
    await using service = await Service.start({ ...env, EXECUTE_HERE: "off", IN_FLIGHT_PER_TENANT_MAX: "100" })
    const call = (path: string) => ({
      name: path,
      timeoutMs: 60_000,
      requestSpec: { method: "POST" as const, url: target.url + path }
    })
    await using _full = await startExecutor(service.folder, { ...env, IN_FLIGHT_MAX: "3" })
    for (let number = 0; number < 3; number++) await submit(service, TENANT, call("/slow"))
    await until("its places are taken", () => target.count === 3)
    await using _idle = await startExecutor(service.folder, env)
    const ids: Array<string> = []
    for (let number = 0; number < 10; number++) ids.push((await submit(service, TENANT, call("/"))).serviceCallId)
    for (const id of ids) expect((await ended(service, id)).status).toBe("Succeeded")
    held.resolve()
  })

  itNeeds(missingNats, "are missed when there are none: the service says so, and goes on when one comes", async () => {
    await using nats = await NatsServer.start()
    await using target = countingTarget()
    const env = { NATS_URL: nats.url, EGRESS_ALLOW: target.host }
    await using service = await Service.start({ ...env, EXECUTE_HERE: "off" })
    const readiness = async () => (await service.fetch("/health/ready")).json()
    const healthy = { status: "ok", checks: { storage: "ok", bus: "ok", executors: "ok" } }
    await until("it is ready", async () => (await readiness()).status === "ok")
    expect(await readiness()).toEqual(healthy)
    const { serviceCallId } = await submit(service, TENANT, {
      name: "a call",
      requestSpec: { method: "POST", url: target.url }
    })
    const waiting = "SELECT seq FROM deliveries WHERE consumer = 'execution'"
    await until("it waits for an executor", () => stored(service.dbPath, waiting).length === 1)
    changeStored(service.dbPath, `UPDATE outbox SET timestamp = timestamp - 60000 WHERE seq IN (${waiting})`)
    const missed = await readiness()
    expect(missed).toMatchObject({ status: "degraded", checks: { ...healthy.checks, executors: "degraded" } })
    expect(missed.detail).toMatch(/Calls have been waiting for an executor for \d+ s: none runs/)
    const isTold = () =>
      service.logs.some(({ level, message }) => level === "WARN" && message.includes("waiting for an executor"))
    await until("the log says so, too", isTold)
    await using _one = await startExecutor(service.folder, env)
    expect((await ended(service, serviceCallId)).status).toBe("Succeeded")
    expect(await readiness()).toEqual(healthy)
  })

  itNeeds(
    missingNats,
    "leave a request that does not fit through the broker to the process that has all of it",
    async () => {
      await using nats = await NatsServer.start("max_payload: 262144")
      await using target = countingTarget()
      const env = { NATS_URL: nats.url, EGRESS_ALLOW: target.host }
      await using service = await Service.start(env)
      await using _executor = await startExecutor(service.folder, env)
      const requestSpec = { method: "POST" as const, url: target.url, body: "x".repeat(700_000) }
      for (let number = 0; number < 6; number++) {
        const { serviceCallId } = await submit(service, TENANT, { name: `large ${number}`, requestSpec })
        expect((await ended(service, serviceCallId, 30_000)).status).toBe("Succeeded")
      }
      expect(target.count).toBe(6)
    }
  )

  itNeeds(missingNats, "perform what an agent without a broker has left when it was killed", async () => {
    await using nats = await NatsServer.start()
    await using target = countingTarget()
    using folder = temporaryFolder()
    let id = ""
    {
      await using before = await Service.start({ EGRESS_ALLOW: target.host }, { folder: folder.path })
      id = (
        await submit(before, TENANT, {
          name: "left",
          dueAt: new Date(Date.now() + 3_600_000).toISOString(),
          requestSpec: { method: "POST", url: target.url }
        })
      ).serviceCallId
      await until("it is stored", async () => (await detailOf(before, TENANT, id)).status === "Scheduled")
      await before.kill("SIGKILL")
      // As it is when it dies between the release and the claim: the command waits, and nobody has published it.
      using database = new Database(before.dbPath, { strict: true })
      const call = { tenant: TENANT, id, now: Date.now() }
      database
        .query(
          `INSERT INTO outbox (message_id, type, schema_version, tenant_id, service_call_id, version, timestamp,
               correlation_id, payload, sealed)
             SELECT '01a1ff00-0000-7000-8000-000000000001', 'StartExecution', 1, tenant_id, service_call_id, 3, $now,
               correlation_id, json_object('request', json(request), 'sealed', null, 'timeoutMs', timeout_ms, 'dueAt',
               '2026-01-01T00:00:00.000Z', 'onUnknown', on_unknown), sealed
             FROM service_calls WHERE tenant_id = $tenant AND service_call_id = $id`
        )
        .run(call)
      database
        .query(
          `INSERT INTO deliveries (consumer, seq, tenant_id, service_call_id, attempts, available_at)
             SELECT 'execution', max(seq), $tenant, $id, 0, 0 FROM outbox`
        )
        .run({ tenant: TENANT, id })
      database
        .query(
          `UPDATE service_calls SET status = 'Running', revision = 3, started_at = $now, sealed = NULL
             WHERE tenant_id = $tenant AND service_call_id = $id`
        )
        .run(call)
    }
    const env = { NATS_URL: nats.url, EGRESS_ALLOW: target.host }
    await using service = await Service.start({ ...env, EXECUTE_HERE: "off" }, { folder: folder.path })
    await using _executor = await startExecutor(service.folder, env)
    expect((await ended(service, id)).status).toBe("Succeeded")
    expect(target.count).toBe(1)
  })
})
