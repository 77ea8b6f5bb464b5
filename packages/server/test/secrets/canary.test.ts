import { afterAll, describe, expect, it } from "vitest"
import {
  callsOf,
  type Detail,
  json,
  PAGE_LIMIT,
  type Reference,
  type Summary,
  sideBySide,
  TERMINAL
} from "../client.ts"
import { type CountingTarget, countingTarget } from "../counting-target.ts"
import { removeLeftovers, temporaryFolder } from "../process.ts"
import { until } from "../until.ts"
import { CANARIES, CANARY, echo, lastingWithSecrets, refusedWithSecrets, requestsWithSecrets } from "./canaries.ts"
import { findInBytes, findInFiles } from "./files.ts"
import { killPrograms, Program } from "./program.ts"

const TENANT = "acme"
/** Of each kind of request. */
const ROUNDS = { json: 17, logfmt: 4, pretty: 4 } as const
const CLIENTS = 16
const FIRST = {
  name: "planted",
  requestSpec: { method: "GET", url: "https://example.com/" },
  dueAt: "2999-01-01T00:00:00Z"
}

const OTHER_PATHS = [
  "/api/admin/dead-letters",
  "/health/ready",
  "/openapi.json",
  "/asyncapi.json",
  "/metrics",
  "/page.json",
  `${callsOf(TENANT)}/none`
]

afterAll(killPrograms)
afterAll(removeLeftovers)

describe("secrets of requests", () => {
  for (const [format, rounds] of Object.entries(ROUNDS)) {
    it(`are in no file, no log line and no answer, with the log as ${format}`, async () => {
      using folder = temporaryFolder()
      await using target = countingTarget((arrival) => {
        if (arrival.path.includes("&silent")) return new Promise<Response>(() => {})
        return arrival.path.includes("echo") ? echo(arrival) : new Response("thank you")
      })
      const closed = countingTarget()
      await closed[Symbol.asyncDispose]()
      await using program = await Program.start(folder.path, {
        EGRESS_ALLOW: `${target.host},${closed.host}`,
        LOG_LEVEL: "trace",
        LOG_FORMAT: format
      })
      const answers: Array<string> = []
      const ask = async (path: string, init?: RequestInit) => {
        const response = await fetch(`${program.url}${path}`, init)
        const text = await response.text()
        answers.push(`${response.status} ${JSON.stringify([...response.headers])} ${text}`)
        return { status: response.status, text }
      }
      const found = () => [
        ...findInFiles(folder.path, CANARIES, (file) => file === "secret.key"),
        ...answers.flatMap((answer) =>
          findInBytes(Buffer.from(answer), CANARIES).map((form) => `${form} in ${answer}`)
        ),
        ...program.written
          .split("\n")
          .flatMap((line) => findInBytes(Buffer.from(line), CANARIES).map((form) => `${form} in ${line}`))
      ]

      const submissions = Array.from({ length: rounds }, (_, round) =>
        requestsWithSecrets(target.url, closed.url, round)
      ).flat()
      const lasting = lastingWithSecrets(target.url)
      const half = Math.floor(submissions.length / 2)
      const submitAll = (some: typeof submissions) =>
        sideBySide(some, CLIENTS, async (submission) => {
          const { status, text } = await ask(callsOf(TENANT), json(submission))
          expect({ status, text }).toMatchObject({ status: 202 })
          const { serviceCallId }: Reference = JSON.parse(text)
          if (submission.name === "to cancel")
            await ask(`${callsOf(TENANT)}/${serviceCallId}/cancel`, { method: "POST" })
        })
      await submitAll([lasting, ...submissions.slice(0, half)])
      await until("a request is under way", () => countOf(target, "lasting") === 1)
      await program.kill("SIGKILL")
      expect(found()).toEqual([])
      await program.restart()
      await submitAll(submissions.slice(half))
      for (const refused of refusedWithSecrets(0)) {
        const { status } = await ask(callsOf(TENANT), refused)
        expect(status).toBeGreaterThanOrEqual(400)
        expect(status).toBeLessThan(500)
      }

      const calls = await until("all calls have ended", async () => {
        const some = await listAll(ask)
        return some.every(({ status }) => TERMINAL.has(status)) && some
      })
      expect(calls).toHaveLength(1 + submissions.length)
      const details: Array<Detail> = []
      await sideBySide(calls, CLIENTS, async ({ serviceCallId }) => {
        details.push(JSON.parse((await ask(`${callsOf(TENANT)}/${serviceCallId}`)).text))
      })
      for (const path of OTHER_PATHS) await ask(path)
      for (const path of ["stats", "export", "export?q=c4nary"]) await ask(`${callsOf(TENANT)}/${path}`)
      // Most of what has ever happened to the calls: cancelled ones have three events.
      answers.push(await eventsOf(program.url, 3 * submissions.length))
      for (const { serviceCallId, requestKept } of details.filter(({ requestKept }) => requestKept).slice(0, 4)) {
        expect(requestKept).toBe(true)
        const { status } = await ask(`${callsOf(TENANT)}/${serviceCallId}/resend`, json({}, { prefer: "wait=20" }))
        expect(status).toBe(200)
      }
      for (const { serviceCallId, requestKept } of details.slice(0, CLIENTS)) {
        if (!requestKept) await ask(`${callsOf(TENANT)}/${serviceCallId}/resend`, json({ dueAt: CANARY }))
      }
      // The requests arrived with their secrets, and people can see what came of them.
      const arrived = [...target.byKey.values()]
        .flat()
        .map(({ path, headers, body }) => path + JSON.stringify([...headers]) + body)
      expect(arrived.every((text) => text.includes(CANARY) || text.includes("Basic "))).toBe(true)
      expect(outcomesOf(details)).toEqual([
        "Cancelled",
        "ConnectionFailed",
        "HttpStatus",
        "OutcomeUnknown",
        "Succeeded",
        "Timeout"
      ])
      expect(answers.some((answer) => answer.includes("[redacted]") && answer.includes("x-number"))).toBe(true)
      await program.kill("SIGTERM")
      expect(found()).toEqual([])

      // The check finds what is there.
      await program.restart()
      await ask(callsOf(TENANT), json({ ...FIRST, name: `a ${CANARY}` }))
      await listAll(ask)
      expect(found().map((text) => text.slice(0, 40))).toEqual(expect.arrayContaining(["as it is in service.db-wal"]))
      expect(found().some((text) => text.startsWith("as it is in 200 "))).toBe(true)
    })
  }
})

const countOf = (target: CountingTarget, word: string): number =>
  [...target.byKey.values()].flat().filter(({ path }) => path.includes(word)).length

/** The first events of the tenant, at least so many. */
const eventsOf = async (url: string, count: number): Promise<string> => {
  const connection = new AbortController()
  const response = await fetch(`${url}${callsOf(TENANT)}/events`, {
    headers: { "last-event-id": "0" },
    signal: connection.signal
  })
  const decoder = new TextDecoder()
  let text = ""
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk, { stream: true })
    if (text.split("\nevent: ServiceCall").length > count) break
  }
  connection.abort()
  return text
}

type Ask = (path: string) => Promise<{ readonly text: string }>

const listAll = async (ask: Ask): Promise<ReadonlyArray<Summary>> => {
  const calls: Array<Summary> = []
  for (let cursor: string | null = ""; cursor !== null; ) {
    const { text } = await ask(`${callsOf(TENANT)}?limit=${PAGE_LIMIT}${cursor === "" ? "" : `&cursor=${cursor}`}`)
    const page: { readonly items: ReadonlyArray<Summary>; readonly next: string | null } = JSON.parse(text)
    calls.push(...page.items)
    cursor = page.next
  }
  return calls
}

const outcomesOf = (details: ReadonlyArray<Detail>): ReadonlyArray<string> => {
  const ends = details.map(({ outcome }) => (outcome?.type === "Failed" ? outcome.error.kind : String(outcome?.type)))
  return [...new Set(ends)].sort()
}
