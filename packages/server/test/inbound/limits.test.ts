import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, describe, expect, it } from "vitest"
import { callsOf, json, submit } from "../client.ts"
import { removeLeftovers, Service } from "../process.ts"
import { rowCounts } from "../stored.ts"
import { until } from "../until.ts"
import { type Line, openLines } from "./burst.ts"
import { heartbeat } from "./heartbeat.ts"

const MEBIBYTE = 1_048_576
const HOST = "Host: localhost\r\n"
const LIVE = `GET /health/live HTTP/1.1\r\n${HOST}\r\n`
const CALL = {
  name: "one of many",
  dueAt: "2999-01-01T00:00:00Z",
  requestSpec: { method: "POST", url: "https://example.com/" }
} as const
const postOf = (bytes: number): string =>
  `POST ${callsOf("acme")} HTTP/1.1\r\n${HOST}Content-Type: application/json\r\nContent-Length: ${bytes}\r\n\r\n`
const SUBMISSION = postOf(JSON.stringify(CALL).length) + JSON.stringify(CALL)

const CROWD = 2_000
/** Far more than `REQUESTS_MAX`: while some are worked on, the others must be there. */
const BURST = 3_000
/** Bun closes after 10 seconds of too little, and looks every four. */
const CLOSED_MS_MAX = 40_000
const ANSWER_MS_MAX = 30_000
const FILES_MAX = 64

afterAll(removeLeftovers)

describe("more than the service can do", () => {
  it("is refused at once with a 503 that says when to come back, while what it took is stored", async () => {
    await using service = await Service.start({ LOG_LEVEL: "warning" })
    using crowd = await openLines(service.url, BURST)
    for (const line of crowd.all) line.send(LIVE)
    await until("all have been answered", () => crowd.all.every((line) => line.statuses().length === 1), ANSWER_MS_MAX)

    // All of it is there when the service looks.
    service.signal("SIGSTOP")
    const [asking, ...submitting] = crowd.all
    for (const line of submitting) line.send(SUBMISSION)
    asking?.send(LIVE)
    service.signal("SIGCONT")
    await until("all have their answers", () => crowd.all.every((line) => line.statuses().length === 2), ANSWER_MS_MAX)

    expect(asking?.statuses()).toEqual([200, 200])
    const last = submitting.map((line) => line.statuses().at(-1))
    const [accepted, refused] = [202, 503].map((status) => last.filter((one) => one === status).length)
    expect((accepted ?? 0) + (refused ?? 0)).toBe(submitting.length)
    console.log({ accepted, refused })
    expect(refused).toBeGreaterThan(0)
    expect(accepted).toBeGreaterThan(0)
    for (const line of submitting.filter((_, index) => last[index] === 503)) {
      expect(line.text()).toContain("urn:event-service-agent:problem:overloaded")
      expect(line.text().toLowerCase()).toContain("\r\nretry-after: 1\r\n")
    }
    expect(rowCounts(service.dbPath)["submissions"]).toBe(accepted)
    expect(service.logs.filter(({ message }) => message.startsWith("overloaded"))).toHaveLength(1)

    await submit(service, "globex", CALL)
    // What is refused before its body was read leaves the connection in no state to go on.
    const open = submitting.filter((_, index) => last[index] === 202)
    for (const line of open) line.send(LIVE)
    await until("all are answered again", () => open.every((line) => line.statuses().at(-1) === 200), ANSWER_MS_MAX)
  })

  it("includes bodies: those that take the longest give way, and memory stays bounded", async () => {
    await using service = await Service.start({ LOG_LEVEL: "warning" })
    const before = rssOf(service)
    const bodies = 256
    using crowd = await openLines(service.url, bodies)
    const most = " ".repeat(MEBIBYTE - 1)
    for (const line of crowd.all) line.send(postOf(MEBIBYTE) + most)
    const gaveWay = () => crowd.all.filter((line) => line.statuses()[0] === 503)
    await until("half of them gave way", () => gaveWay().length === bodies / 2, ANSWER_MS_MAX)

    await submit(service, "acme", CALL)
    expect(rssOf(service) - before).toBeLessThan(3 * (bodies / 2) * MEBIBYTE)
    for (const line of gaveWay()) {
      expect(line.text()).toContain("urn:event-service-agent:problem:overloaded")
      expect(line.text().toLowerCase()).toContain("\r\nretry-after: 1\r\n")
      expect(line.text().toLowerCase()).toContain("\r\nconnection: close\r\n")
    }
    await until("their connections are closed", () => gaveWay().every((line) => line.isClosed()), ANSWER_MS_MAX)
    // The submission in between took the place of one more.
    expect(crowd.all.filter((line) => !line.isClosed())).toHaveLength(bodies / 2 - 1)
  })
})

describe("clients that keep a connection and hardly use it", () => {
  it("hold up nobody, cost little, and lose it after some seconds", async () => {
    await using service = await Service.start({ LOG_LEVEL: "warning" })
    for (let number = 0; number < 50; number++) await submit(service, "acme", CALL)
    const before = rssOf(service)
    using beat = heartbeat(service)
    using crowd = await openLines(service.url, CROWD)
    const kinds: ReadonlyArray<readonly [first: string, drop: string]> = [
      ["", ""],
      ["GET /health/live HTT", ""],
      [`GET /health/live HTTP/1.1\r\n${HOST}X-A: `, "a"],
      [postOf(1_000), " "],
      [`POST ${callsOf("acme")} HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n`, "0"],
      [LIVE, ""]
    ]
    const kindOf = (index: number) => kinds[index % kinds.length] ?? ["", ""]
    for (const [index, line] of crowd.all.entries()) line.send(kindOf(index)[0])
    const drip = setInterval(() => {
      for (const [index, line] of crowd.all.entries()) if (!line.isClosed()) line.send(kindOf(index)[1])
    }, 500)
    try {
      await submit(service, "acme", CALL)
      expect((await service.fetch(`${callsOf("acme")}?limit=1`)).status).toBe(200)
      expect(rssOf(service) - before).toBeLessThan(200 * MEBIBYTE)
      await until("all connections are closed", () => crowd.all.every((line) => line.isClosed()), CLOSED_MS_MAX)
    } finally {
      clearInterval(drip)
    }
    await submit(service, "acme", CALL)
    expect(beat.misses).toEqual([])
    expect(service.logs.filter(({ level }) => level !== "INFO")).toEqual([])
  })
})

describe("more connections than the process may have files", () => {
  it("are left waiting; whoever has one is answered, and all are once there is room", async () => {
    const main = join(import.meta.dirname, "../../src/main.ts")
    const command = ["sh", "-c", `ulimit -n ${FILES_MAX} && exec "$0" "$@"`, process.execPath, main]
    await using service = await Service.start({ LOG_LEVEL: "warning" }, { command })
    const { pid } = service
    using first = await openLines(service.url, 1)
    const ask = (line: Line | undefined) => line?.send(LIVE)
    ask(first.all[0])
    await until("the first is answered", () => first.all[0]?.statuses().length === 1)
    {
      using crowd = await openLines(service.url, 200)
      for (const line of crowd.all) ask(line)
      const answered = () => crowd.all.filter((line) => line.statuses().length === 1).length
      await until("there is no room left", () => answered() > 20 && filesOf(service) === FILES_MAX, ANSWER_MS_MAX)
      expect(answered()).toBeLessThan(FILES_MAX)
      ask(first.all[0])
      await until("the first is answered again", () => first.all[0]?.statuses().length === 2, ANSWER_MS_MAX)
    }
    await until(
      "there is room",
      async () => (await service.fetch(callsOf("acme"), json(CALL))).status === 202,
      ANSWER_MS_MAX
    )
    expect(service.pid).toBe(pid)
    expect(service.logs.filter(({ level }) => level !== "INFO")).toEqual([])
  })
})

/** Resident memory in bytes. */
const rssOf = (service: Service): number =>
  Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${service.pid}/status`, "utf8"))?.[1]) * 1_024

const filesOf = (service: Service): number => readdirSync(`/proc/${service.pid}/fd`).length
