import { readFileSync } from "node:fs"
import { afterAll, describe, expect, it } from "vitest"
import { callsOf, json, listAll, sideBySide } from "../client.ts"
import { countingTarget } from "../counting-target.ts"
import { removeLeftovers, Service } from "../process.ts"
import { damageOf, stored } from "../stored.ts"
import { readContract } from "./contract-document.ts"
import { plantDeadLetters } from "./dead-letters.ts"
import { type GeneratedRequest, generateRequest, type Material } from "./generate-request.ts"
import { heartbeat } from "./heartbeat.ts"
import { verifyAnswer } from "./verify-answer.ts"
import { NoAnswer, Wire, type WireAnswer } from "./wire.ts"

/** FUZZ_SEED and FUZZ_REQUESTS choose another run; FUZZ_ONLY sends one request of it alone. */
const SEED = Number(process.env["FUZZ_SEED"] ?? 20_260_801)
const REQUESTS = Number(process.env["FUZZ_REQUESTS"] ?? 20_000)
const ONLY = process.env["FUZZ_ONLY"] === undefined ? undefined : Number(process.env["FUZZ_ONLY"])
const CONNECTIONS = 16
const TENANTS = ["acme", "globex", "initech", "A-1_b"]
const CALLS_BEFORE = 12
const LETTERS_OF_EACH = 8
const KEYS = 8
/** The heap has its size after this share of the run; then it may breathe, and not grow with every request. */
const WARM_UP_SHARE = 0.4
const GROWTH_MAX = 1.4
const FAILURES_SHOWN = 5

/** Refused by a service without NATS. */
const NEEDS_BROKER = "admin.republish"

afterAll(removeLeftovers)

describe("20,000 requests made from the service's own document, most of them with something wrong", () => {
  it(
    `get an answer each, never a 5xx, and leave nothing behind that was refused (FUZZ_SEED=${SEED})`,
    async () => {
      await using target = countingTarget()
      await using service = await Service.start({ EGRESS_ALLOW: target.host, LOG_LEVEL: "warning" })
      const before = await submitSome(service)
      const letters = await plantDeadLetters(service, LETTERS_OF_EACH)
      const contract = await readContract(service)
      const material: Material = {
        contract,
        tenants: TENANTS,
        serviceCallIds: before.map((name) => name.split("/")[1] ?? ""),
        letters: letters.map(({ seq }) => seq),
        keyIds: await makeKeys(service),
        targetUrl: target.url
      }
      const run = newRun()
      const accepted = new Set(before)
      const memory = { warm: 0 }
      using beat = heartbeat(service)

      const connections = Array.from({ length: CONNECTIONS }, () => new Wire(service.url))
      const numbers = ONLY === undefined ? Array.from({ length: REQUESTS }, (_, index) => index) : [ONLY]
      await sideBySide(numbers, CONNECTIONS, async (number) => {
        if (number === Math.round(REQUESTS * WARM_UP_SHARE)) memory.warm = rssOf(service)
        const request = generateRequest(SEED, number, material)
        const wire = connections.pop() ?? new Wire(service.url)
        const answer = await wire.ask(request).catch((error: unknown) => {
          if (error instanceof NoAnswer) return error
          throw error
        })
        connections.push(wire)
        run.note(number, request, answer)
        if (!(answer instanceof NoAnswer) && answer.status === 202) {
          const location = /^\/api\/tenants\/([^/]+)\/service-calls\/([^/]+)$/.exec(
            answer.headers.get("location") ?? ""
          )
          if (location !== null) accepted.add(`${location[1]}/${location[2]}`)
        }
      })
      for (const wire of connections) wire[Symbol.dispose]()

      expect({ seed: SEED, failures: run.failures.slice(0, FAILURES_SHOWN), all: run.failures.length }).toEqual({
        seed: SEED,
        failures: [],
        all: 0
      })
      if (ONLY !== undefined) return
      for (const { id } of contract.operations) {
        if (id !== NEEDS_BROKER) expect(run.succeeded(id), `${id} has also succeeded`).toBeGreaterThan(0)
      }
      for (const status of [200, 202, 400, 403, 404, 405, 409, 413, 415, 421, 422]) {
        expect(run.statuses.get(status) ?? 0, `some answers are ${status}`).toBeGreaterThan(0)
      }
      expect(await shownCalls(service)).toEqual([...accepted].sort())
      expect(storedCalls(service)).toEqual([...accepted].sort())
      expect(damageOf(service.dbPath)).toEqual([])
      expect(rssOf(service) / memory.warm).toBeLessThan(GROWTH_MAX)
      expect(beat.misses).toEqual([])
      expect(service.logs.filter(({ level }) => level === "ERROR" || level === "FATAL")).toEqual([])
      for (const path of ["/health/live", "/health/ready"]) expect((await service.fetch(path)).status).toBe(200)
    },
    Math.max(240_000, REQUESTS * 20)
  )
})

/** Calls whose ids follow from their keys, so that they are the same in every run. They are as `tenant/id`. */
const submitSome = async (service: Service): Promise<ReadonlyArray<string>> => {
  const names: Array<string> = []
  for (const tenant of TENANTS) {
    for (let number = 0; number < CALLS_BEFORE; number++) {
      const body = {
        name: `before ${number}`,
        dueAt: "2999-01-01T00:00:00Z",
        idempotencyKey: `before-${number}`,
        requestSpec: { method: "POST", url: "https://example.com/" }
      }
      const response = await service.fetch(callsOf(tenant), json(body))
      expect(response.status).toBe(202)
      names.push(`${tenant}/${response.headers.get("location")?.split("/").at(-1)}`)
    }
  }
  return names
}

/** Keys that may be revoked, also once more. */
const makeKeys = (service: Service): Promise<ReadonlyArray<string>> =>
  Promise.all(
    Array.from({ length: KEYS }, async (_, number) => {
      const key = { tenantId: "*", scopes: ["read"], label: `before ${number}` }
      const response = await service.fetch("/api/admin/keys", json(key))
      expect(response.status).toBe(201)
      const { keyId }: { readonly keyId: string } = await response.json()
      return keyId
    })
  )

const newRun = () => {
  const failures: Array<string> = []
  const statuses = new Map<number, number>()
  const successes = new Map<string, number>()
  const count = <Key>(counts: Map<Key, number>, key: Key) => counts.set(key, (counts.get(key) ?? 0) + 1)
  return {
    failures,
    statuses,
    succeeded: (id: string): number => successes.get(id) ?? 0,
    note: (number: number, request: GeneratedRequest, answer: WireAnswer | NoAnswer) => {
      if (answer instanceof NoAnswer) {
        if (!request.isTooLarge) failures.push(`request ${number}: ${answer.message}\n${request.text}`)
        return
      }
      count(statuses, answer.status)
      if (request.isValid && answer.status < 300) count(successes, request.operation.id)
      for (const wrong of verifyAnswer(request, answer)) failures.push(`request ${number}: ${wrong}\n${request.text}`)
    }
  }
}

const tenantsIn = (service: Service): ReadonlyArray<string> =>
  stored<{ readonly tenant_id: string }>(service.dbPath, "SELECT DISTINCT tenant_id FROM submissions").map(
    (row) => row.tenant_id
  )

const shownCalls = async (service: Service): Promise<ReadonlyArray<string>> => {
  const lists = await Promise.all(tenantsIn(service).map((tenant) => listAll(service, tenant)))
  return lists
    .flat()
    .map(({ tenantId, serviceCallId }) => `${tenantId}/${serviceCallId}`)
    .sort()
}

const storedCalls = (service: Service): ReadonlyArray<string> =>
  stored<{ readonly name: string }>(
    service.dbPath,
    "SELECT tenant_id || '/' || service_call_id AS name FROM submissions ORDER BY name"
  ).map(({ name }) => name)

/** Resident memory in bytes. */
const rssOf = (service: Service): number =>
  Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${service.pid}/status`, "utf8"))?.[1]) * 1_024
