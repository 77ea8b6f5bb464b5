import { CallSummary } from "@event-service-agent/api/representations"
import { Schema } from "effect"
import { afterAll, describe, expect, it } from "vitest"
import { callsOf, json, listAll, type Submission, sideBySide, submit } from "./client.ts"
import { storeOldCalls } from "./old-calls.ts"
import { removeLeftovers, Service } from "./process.ts"
import { until } from "./until.ts"

afterAll(removeLeftovers)

const CALLS = 5_000
const SUBMISSIONS = 60
const SLOWER_MAX = 5
const SLOWER_BY_MS = 20
const TRIES_MAX = 5
const LATER = "2999-01-01T00:00:00Z"
const DAY_MS = 86_400_000
/** What may be in a tag, a name or a URL, and breaks what does not encode it. */
const HOSTILE = `"quotes" \\\\ <script>alert(1)</script> \u2028\u2029\u0085 \ud83d\ude00`

const decodeLine = Schema.decodeUnknownSync(Schema.fromJsonString(CallSummary), { onExcessProperty: "error" })

const callOf = (n: number): Submission => ({
  name: n === 1 ? `a ${HOSTILE.replaceAll("\u0085", "")}` : `call ${n}`,
  tags: [`mod ${n % 3}`, ...(n === 1 ? [HOSTILE] : [])],
  dueAt: n % 5 === 0 ? "2998-01-01T00:00:00Z" : LATER,
  requestSpec: {
    method: "POST",
    url: `https://example.com/${n}?q="<>`,
    headers: { accept: 'a\t"b"', authorization: "Bearer 123456789" }
  }
})

const lines = (text: string): ReadonlyArray<string> => text.split("\n").filter((line) => line !== "")

describe("an export", () => {
  it("has every call of the list in its order, one document a line, filtered as the list is, and nobody else's", async () => {
    await using service = await Service.start()
    // 25 calls and 199 older copies of each.
    await sideBySide(Array(CALLS / 200).keys(), 8, async (n) => {
      await submit(service, "acme", callOf(n))
    })
    await submit(service, "globex", { ...callOf(1), name: "of another tenant" })
    await until("all are processed", async () => (await listAll(service, "acme", "&status=Submitted")).length === 0)
    await service.kill("SIGTERM")
    storeOldCalls(service.dbPath, 199, DAY_MS)
    await service.restart()

    const response = await service.fetch(`${callsOf("acme")}/export`)
    expect(response.headers.get("content-type")).toBe("application/x-ndjson")
    const text = await response.text()
    expect(text.endsWith("\n")).toBe(true)
    const all = lines(text)
    const calls = all.map((line) => decodeLine(line))
    expect(calls).toHaveLength(CALLS)
    expect(text).not.toContain("123456789")
    expect(text).not.toContain("globex")
    expect(all.map((line): unknown => JSON.parse(line))).toEqual([...(await listAll(service, "acme"))])
    const hostile = calls.filter(({ name }) => name === callOf(1).name)
    expect(hostile).toHaveLength(200)
    expect(hostile.every(({ tags }) => tags.includes(HOSTILE))).toBe(true)

    for (const filter of [
      "status=Scheduled&tag=mod%201",
      `tag=${encodeURIComponent(HOSTILE)}`,
      "to=2998-06-01T00:00:00Z",
      "from=2998-06-01T00:00:00Z&q=CALL%202",
      "status=Failed",
      `q=${encodeURIComponent("<script>")}`
    ]) {
      const filtered = await (await service.fetch(`${callsOf("acme")}/export?${filter}`)).text()
      const listed = await listAll(service, "acme", `&${filter}`)
      expect(lines(filtered).map((line): unknown => JSON.parse(line))).toEqual([...listed])
      expect({ filter, isEmpty: listed.length === 0 }).toEqual({ filter, isEmpty: filter === "status=Failed" })
      expect(listed.length).toBeLessThan(CALLS)
    }
    for (const [query, field] of [
      ["limit=5", "limit"],
      ["cursor=x", "cursor"],
      ["status=Done", "status/0"]
    ]) {
      const refused = await service.fetch(`${callsOf("acme")}/export?${query}`)
      expect({ query, status: refused.status }).toEqual({ query, status: 422 })
      expect(await refused.json()).toMatchObject({ errors: [{ in: "query", pointer: `#/${field}` }] })
    }

    await expectQuickBesideReaders(service)
  })
})

/** Submissions beside readers that have begun and read on slowly take about as long as without them. */
const expectQuickBesideReaders = async (service: Service) => {
  const submitMs = async (): Promise<number> => {
    const times: Array<number> = []
    for (let n = 0; n < SUBMISSIONS; n++) {
      const startedAt = performance.now()
      expect((await service.fetch(callsOf("other"), json(callOf(n)))).status).toBe(202)
      times.push(performance.now() - startedAt)
    }
    return times.sort((a, b) => a - b)[SUBMISSIONS >> 1] ?? 0
  }
  await submitMs()
  const alone = await submitMs()
  const readers = await Promise.all(
    Array.from({ length: 8 }, async () => (await service.fetch(`${callsOf("acme")}/export`)).body?.getReader())
  )
  for (const reader of readers) await reader?.read()
  let beside = await submitMs()
  // What other programs do may slow down one round. What the readers do would slow down each.
  for (let tries = 1; tries < TRIES_MAX && beside >= alone * SLOWER_MAX + SLOWER_BY_MS; tries++) {
    beside = await submitMs()
  }
  expect(beside).toBeLessThan(alone * SLOWER_MAX + SLOWER_BY_MS)
  // They get the rest all the same.
  const decoder = new TextDecoder()
  let rest = ""
  for (let part = await readers[0]?.read(); part?.done === false; part = await readers[0]?.read()) {
    rest += decoder.decode(part.value, { stream: true })
  }
  expect(lines(rest).length).toBeGreaterThan(CALLS / 2)
  for (const reader of readers) await reader?.cancel()
}
