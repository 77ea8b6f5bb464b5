import { symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { eventSubject, HEADERS, PREFIX_DEFAULT, streamNames } from "@event-service-agent/schemas/nats"
import { jetstreamManager } from "@nats-io/jetstream"
import { connect } from "@nats-io/transport-node"
import { Ajv } from "ajv"
import formats from "ajv-formats"
import { afterAll, describe, expect, it } from "vitest"
import { json, submit } from "../client.ts"
import { countingTarget } from "../counting-target.ts"
import { readText } from "../dockerfile.ts"
import { itNeeds } from "../faults/needs.ts"
import { removeLeftovers, Service, temporaryFolder } from "../process.ts"
import { until } from "../until.ts"
import { missingNats, NatsServer } from "./nats-server.ts"

const LINES_MAX = 10
const [TENANT, OTHER_TENANT] = ["acme", "globex"]
const STREAM = streamNames(PREFIX_DEFAULT).events

const [, example = ""] = /^```ts\n(.*?)^```$/ms.exec(readText(import.meta.dirname, "../../../../docs/events.md")) ?? []

afterAll(removeLeftovers)

/** Runs the code of the page as a reader would, and tells what it has printed. */
const runExample = (natsUrl: string) => {
  const folder = temporaryFolder()
  symlinkSync(join(import.meta.dirname, "../../node_modules"), join(folder.path, "node_modules"))
  writeFileSync(join(folder.path, "example.ts"), example)
  const child = Bun.spawn([process.execPath, "example.ts"], {
    cwd: folder.path,
    env: { PATH: process.env["PATH"] ?? "", NATS_URL: natsUrl },
    stdout: "pipe",
    stderr: "pipe"
  })
  const written = { stdout: "", stderr: "" }
  const read = async (from: "stdout" | "stderr") => {
    const decoder = new TextDecoder()
    for await (const chunk of child[from]) written[from] += decoder.decode(chunk, { stream: true })
  }
  const ended = Promise.all([child.exited, read("stdout"), read("stderr")])
  return {
    lines: (): ReadonlyArray<string> => {
      if (child.exitCode !== null) throw new Error(`the example ended: ${written.stderr}`)
      return written.stdout.split("\n").filter((line) => line !== "")
    },
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGKILL")
      await ended
      folder[Symbol.dispose]()
    }
  }
}

/** Every message of the stream, as an outside reader finds it. */
const readStream = async (natsUrl: string) => {
  const connection = await connect({ servers: natsUrl })
  try {
    const manager = await jetstreamManager(connection)
    const { state } = await manager.streams.info(STREAM)
    const messages = []
    for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
      const message = await manager.streams.getMessage(STREAM, { seq })
      if (message === null) continue
      const headers = Object.fromEntries([...message.header].map(([name, [value]]) => [name, value]))
      messages.push({ subject: message.subject, headers, payload: message.json<Record<string, unknown>>() })
    }
    const consumers = await manager.consumers.list(STREAM).next()
    return { messages, consumers }
  } finally {
    await connection.close()
  }
}

interface Document {
  readonly components: {
    readonly messages: Readonly<Record<string, { readonly headers: object; readonly payload: object }>>
  }
}

/** What does not fit the document. */
const problemsOf = (document: Document, messages: Awaited<ReturnType<typeof readStream>>["messages"]) => {
  const ajv = new Ajv({ strictRequired: false, allErrors: true })
  formats.default(ajv)
  const errorsOf = (schema: object | undefined, value: unknown) =>
    ajv.validate(schema ?? false, value) ? [] : (ajv.errors ?? []).map((error) => ({ error, value }))
  return messages.flatMap(({ subject, headers, payload }) => {
    const [tenantId = "", type = "", id = ""] = ["tenantId", "type", "aggregateId"].map((name) => String(payload[name]))
    const expected = eventSubject(PREFIX_DEFAULT, tenantId, type, id)
    const described = document.components.messages[type]
    return [
      ...(subject === expected ? [] : [{ subject, expected }]),
      ...errorsOf(described?.headers, headers),
      ...errorsOf(described?.payload, payload)
    ]
  })
}

const bySeq = <A extends { readonly headers: Readonly<Record<string, string | undefined>> }>(
  messages: ReadonlyArray<A>
) => messages.toSorted((a, b) => Number(a.headers[HEADERS.seq]) - Number(b.headers[HEADERS.seq]))

describe("listening to events from outside", () => {
  it("takes ten lines on the page, under the names that the agent uses", () => {
    const lines = example.split("\n").filter((line) => line.trim() !== "")
    expect(lines.length).toBeGreaterThan(5)
    expect(lines.length).toBeLessThanOrEqual(LINES_MAX)
    expect(example).toContain(`"${STREAM}"`)
    expect(example).toContain(`"${eventSubject(PREFIX_DEFAULT, TENANT, "*", "*")}"`)
  })

  itNeeds(
    missingNats,
    "works as the page shows it, and finds what the AsyncAPI document says, also when it is published again",
    async () => {
      await using nats = await NatsServer.start()
      await using target = countingTarget(({ path }) => new Response("", { status: path === "/broken" ? 500 : 200 }))
      await using service = await Service.start({ NATS_URL: nats.url, EGRESS_ALLOW: target.host })
      await using reader = runExample(nats.url)
      const call = async (tenant: string, path: string) => {
        const requestSpec = { method: "GET", url: `${target.url}${path}` } as const
        return (await submit(service, tenant, { name: path, requestSpec })).serviceCallId
      }
      const foreign = await call(OTHER_TENANT, "/fine")
      const fine = await call(TENANT, "/fine")
      const broken = await call(TENANT, "/broken")
      await until("the example has printed both", () => reader.lines().length >= 2, 30_000)
      expect([...reader.lines()].sort()).toEqual([`ServiceCallFailed ${broken}`, `ServiceCallSucceeded ${fine}`])

      const { messages, consumers } = await until("everything is published and acknowledged", async () => {
        const found = await readStream(nats.url)
        const ends = found.messages.filter(({ payload }) => /^ServiceCall(Succ|Fail)/.test(String(payload["type"])))
        const isRead = found.consumers.every((one) => one.num_pending === 0 && one.num_ack_pending === 0)
        return ends.length === 3 && isRead ? found : undefined
      })
      expect(consumers.map(({ name }) => name)).toEqual(["mailer"])
      expect(new Set(messages.map(({ payload }) => payload["aggregateId"]))).toEqual(new Set([foreign, fine, broken]))

      const again = await service.fetch("/api/admin/republish", json({ since: "2000-01-01T00:00:00Z" }))
      expect([again.status, await again.json()]).toEqual([200, { events: messages.length }])
      const republished = await until("all is published once more", async () => {
        const found = await readStream(nats.url)
        return found.messages.length === 2 * messages.length ? found.messages.slice(messages.length) : undefined
      })
      const withoutMark = ({ headers, payload }: (typeof messages)[number]) => {
        const { "Nats-Msg-Id": _, [HEADERS.republished]: __, ...others } = headers
        return { headers: others, payload }
      }
      expect(bySeq(republished).map(withoutMark)).toEqual(bySeq(messages).map(withoutMark))
      for (const { headers } of messages) expect(headers[HEADERS.republished]).toBeUndefined()
      for (const { headers } of republished) expect(Number(headers[HEADERS.republished])).toBeGreaterThan(0)
      const publishIds = [...messages, ...republished].map(({ headers }) => headers["Nats-Msg-Id"])
      expect(new Set(publishIds).size).toBe(2 * messages.length)

      const document: Document = await (await service.fetch("/asyncapi.json")).json()
      expect(problemsOf(document, [...messages, ...republished])).toEqual([])
    }
  )
})
