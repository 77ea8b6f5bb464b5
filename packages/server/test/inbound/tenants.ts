import { Database } from "bun:sqlite"
import { expect } from "vitest"
import { callsOf, detailOf, json, type Reference, type Submission } from "../client.ts"
import type { Service } from "../process.ts"
import { stored, TABLES } from "../stored.ts"
import { storeUnhandled } from "../unhandled.ts"
import { until } from "../until.ts"
import type { Contract, Operation } from "./contract-document.ts"

/** Routes without a tenant in their path. What they are for says why they need none. */
const WITHOUT_TENANT: ReadonlyMap<string, "operators" | "anyone"> = new Map([
  ["admin.deadLetters", "operators"],
  ["admin.replay", "operators"],
  ["admin.discard", "operators"],
  ["admin.republish", "operators"],
  ["access.keys", "operators"],
  ["access.createKey", "operators"],
  ["access.revokeKey", "operators"],
  ["access.whoami", "anyone"],
  ["health.live", "anyone"],
  ["health.ready", "anyone"]
])

/** The routes of a tenant, and those for anyone. Refuses a contract with a route of which nobody said what it is. */
export const classify = ({ operations }: Pick<Contract, "operations">) => {
  const unknown = operations.filter(({ id, path }) => !path.includes("{tenantId}") && !WITHOUT_TENANT.has(id))
  if (unknown.length > 0) {
    throw new Error(`say in WITHOUT_TENANT who may use ${unknown.map(({ id }) => id)}, or put the tenant in their path`)
  }
  return {
    ofTenants: operations.filter(({ path }) => path.includes("{tenantId}")),
    forAnyone: operations.filter(({ id }) => WITHOUT_TENANT.get(id) === "anyone")
  }
}

/** The path with these values. Fails for a parameter that the test has none for. */
export const pathOf = ({ id, path }: Operation, values: Readonly<Record<string, string>>): string =>
  path.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
    const value = values[name]
    if (value === undefined) throw new Error(`the test does not know the parameter ${name} of ${id}`)
    return encodeURIComponent(value)
  })

/** A tenant with something of everything. */
export interface Populated {
  readonly tenant: string
  /** Stands in all that the tenant wrote. */
  readonly mark: string
  /** By the state that the call is in. */
  readonly ids: ReadonlyMap<string, string>
}

/** The idempotency key of each one's call that is Scheduled. */
export const SHARED_KEY = "the-same-key"
const LATER = { dueAt: "2999-01-01T00:00:00Z" }

export const callOf = (
  mark: string,
  targetUrl: string,
  path: string,
  change: Partial<Submission> = {}
): Submission => ({
  name: `${mark} call`,
  tags: [`${mark}-tag`, "common"],
  requestSpec: {
    method: "POST",
    url: `${targetUrl}/${path}?of=${mark}`,
    headers: { "user-agent": mark, "x-secret": mark },
    body: mark
  },
  ...change
})

/**
 * Gives each tenant calls in every state, and dead letters. The service is stopped and started again for it.
 *
 * @param targetUrl answers 500 under /fails, and under /hangs nothing
 */
export const populate = async (
  service: Service,
  marks: Readonly<Record<string, string>>,
  targetUrl: string
): Promise<ReadonlyArray<Populated>> => {
  const tenants = Object.entries(marks)
  const send = async (tenant: string, submission: Submission, headers = {}): Promise<string> => {
    const response = await service.fetch(callsOf(tenant), json(submission, headers))
    expect(response.status).toBe(202)
    const { serviceCallId }: Reference = await response.json()
    return serviceCallId
  }
  const wait = async (tenant: string, ids: Readonly<Record<string, string>>) => {
    for (const [status, id] of Object.entries(ids)) {
      await until(`${id} is ${status}`, async () => (await detailOf(service, tenant, id)).status === status)
    }
  }

  const settled = await Promise.all(
    tenants.map(async ([tenant, mark]) => {
      const ids = {
        Succeeded: await send(tenant, callOf(mark, targetUrl, "ok")),
        Failed: await send(tenant, callOf(mark, targetUrl, "fails")),
        Cancelled: await send(tenant, callOf(mark, targetUrl, "ok", LATER)),
        Scheduled: await send(tenant, callOf(mark, targetUrl, "ok", LATER), { "idempotency-key": SHARED_KEY })
      }
      const cancel = `${callsOf(tenant)}/${ids.Cancelled}/cancel`
      expect((await service.fetch(cancel, json({ reason: `${mark} is the reason` }))).status).toBe(200)
      await wait(tenant, ids)
      return { tenant, mark, ids }
    })
  )
  await service.kill("SIGTERM")
  const stranded = settled.map(({ tenant, mark, ids }) => strand(service.dbPath, tenant, mark, ids.Scheduled))
  await service.restart()
  return Promise.all(
    settled.map(async ({ tenant, mark, ids }, index) => {
      // Before the restart, it would have ended with it.
      const Running = await send(tenant, callOf(mark, targetUrl, "hangs", { timeoutMs: 120_000 }))
      const all = { ...ids, Running, Submitted: stranded[index] ?? "" }
      await wait(tenant, all)
      return { tenant, mark, ids: new Map(Object.entries(all)) }
    })
  )
}

/** Adds a call that orchestration could not take: it stays Submitted, with a dead letter. Gives its id. */
const strand = (dbPath: string, tenant: string, mark: string, likeId: string): string => {
  using database = new Database(dbPath)
  const id = crypto.randomUUID()
  const submission = `fingerprint, accepted_at, due_at, name, request, tags, timeout_ms, on_unknown, correlation_id`
  database
    .query(
      `INSERT INTO submissions (tenant_id, service_call_id, ${submission})
       SELECT tenant_id, ?, ${submission} FROM submissions WHERE tenant_id = ? AND service_call_id = ?`
    )
    .run(id, tenant, likeId)
  storeUnhandled(database, {
    where: "s.tenant_id = ? AND s.service_call_id = ?",
    bindings: [tenant, id],
    error: `'Error: ${mark}'`
  })
  return id
}

/** Every text of which a single occurrence would give the tenant away. */
export const secretsOf = (dbPath: string, { tenant, mark }: Populated): ReadonlyArray<string> => {
  const rows = stored<Readonly<Record<string, string>>>(
    dbPath,
    "SELECT service_call_id, correlation_id, message_id FROM outbox WHERE tenant_id = ?",
    tenant
  )
  return [mark, ...new Set(rows.flatMap((row) => Object.values(row)))]
}

/** All that is stored of a tenant. */
export const rowsOf = (dbPath: string, tenant: string): string =>
  JSON.stringify(TABLES.map((table) => stored<object>(dbPath, `SELECT * FROM ${table} WHERE tenant_id = ?`, tenant)))
