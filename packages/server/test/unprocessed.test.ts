import type { CallStats } from "@event-service-agent/api/representations"
import { afterAll, describe, expect, it } from "vitest"
import { callsOf, detailOf, json, type Submission, submit } from "./client.ts"
import { removeLeftovers, Service, temporaryFolder } from "./process.ts"
import { stored } from "./stored.ts"
import { until } from "./until.ts"

type Stats = (typeof CallStats)["Encoded"]

afterAll(removeLeftovers)

const TENANT = "acme"
/** Nobody listens there. */
const NO_BROKER = { NATS_URL: "nats://127.0.0.1:1" }
const NONE = { Submitted: 0, Scheduled: 0, Running: 0, Succeeded: 0, Failed: 0, Cancelled: 0 }
const SUBMISSION: Submission = {
  name: "waits",
  tags: ["a"],
  dueAt: "2999-01-01T00:00:00Z",
  requestSpec: { method: "POST", url: "https://example.com/" }
}

const statsOf = async (service: Service, tenant = TENANT): Promise<Stats> =>
  (await service.fetch(`${callsOf(tenant)}/stats`)).json()

describe("a call that orchestration does not have yet", () => {
  it("is counted as Submitted, and is tagged, starred and cancelled as soon as orchestration has it", async () => {
    using folder = temporaryFolder()
    let ids: ReadonlyArray<string> = []
    {
      await using cutOff = await Service.start(NO_BROKER, { folder: folder.path })
      const references = await Promise.all([1, 2, 3].map(() => submit(cutOff, TENANT, SUBMISSION)))
      ids = references.map(({ serviceCallId }) => serviceCallId)
      expect(await statsOf(cutOff)).toEqual({ total: 3, statuses: { ...NONE, Submitted: 3 }, tags: [], overdue: 0 })
      expect(await statsOf(cutOff, "globex")).toEqual({ total: 0, statuses: NONE, tags: [], overdue: 0 })
      const path = (n: number) => `${callsOf(TENANT)}/${ids[n]}`
      const exported = await (await cutOff.fetch(`${callsOf(TENANT)}/export?status=Submitted`)).text()
      expect(exported.trim().split("\n")).toHaveLength(3)

      // Nobody decides.
      const answers = await Promise.all([
        cutOff.fetch(`${path(0)}/tags`, { ...json({ tags: ["starred"] }), method: "PUT" }),
        cutOff.fetch(`${path(1)}/cancel`, { method: "POST" })
      ])
      for (const answer of answers) {
        expect(answer.status).toBe(202)
        expect(await answer.json()).toMatchObject({ status: "Submitted" })
      }
      // Once more is the same command.
      expect((await cutOff.fetch(`${path(1)}/cancel`, { method: "POST" })).status).toBe(202)
      const cancels = "SELECT count(*) AS commands FROM outbox WHERE type = 'CancelServiceCall'"
      expect(stored(cutOff.dbPath, cancels)).toEqual([{ commands: 1 }])
      expect(await detailOf(cutOff, TENANT, String(ids[1]))).toMatchObject({ status: "Submitted", tags: ["a"] })
    }
    await using service = await Service.start({}, { folder: folder.path })
    const states = () => Promise.all(ids.map((id) => detailOf(service, TENANT, id)))
    const found = await until("orchestration has done it all", async () => {
      const [tagged, cancelled, other] = await states()
      if (cancelled?.status !== "Cancelled" || other?.status !== "Scheduled") return undefined
      return tagged?.tags.includes("starred") === true ? [tagged.status, tagged.tags] : undefined
    })
    expect(found).toEqual(["Scheduled", ["starred"]])
    // Each of them once.
    expect(await statsOf(service)).toEqual({
      total: 3,
      statuses: { ...NONE, Scheduled: 2, Cancelled: 1 },
      tags: [
        { tag: "starred", calls: 1 },
        { tag: "a", calls: 2 }
      ],
      overdue: 0
    })
  })
})
