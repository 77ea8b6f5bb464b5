import { readFileSync } from "node:fs"
import { createRequire } from "node:module"
import { catalogue, type Message, type MessageType } from "@event-service-agent/schemas/messages/catalogue"
import { eventSubject, HEADERS, PREFIX_DEFAULT, streamNames, traceparentOf } from "@event-service-agent/schemas/nats"
import { Ajv, type ValidateFunction } from "ajv"
import formats from "ajv-formats"
import { Arbitrary, Effect, JsonPointer, Layer, Schema } from "effect"
import { HttpRouter } from "effect/http"
import { describe, expect, it } from "vitest"
import * as Api from "../src/api.ts"
import { asyncApi } from "../src/asyncapi.ts"
import { layerStores } from "./testing.ts"

const SAMPLES = 25
const SEED = 20_261_121
const PREFIX = "acme-agent"

const document = asyncApi(PREFIX)
const channel = document.channels.events
const definitions = Object.values(catalogue)
const events = definitions.filter(({ kind }) => kind === "event")
const commands = definitions.filter(({ kind }) => kind === "command")

const schemaFile = createRequire(import.meta.url).resolve("@asyncapi/specs/schemas/3.0.0.json")
// The official schema brings along its own copy of draft 7, and says things that the strict mode takes for mistakes.
const official = new Ajv({ strict: false, meta: false, validateSchema: false, allErrors: true })
formats.default(official)
const validateDocument = official.compile(JSON.parse(readFileSync(schemaFile, "utf8")))

const ajv = new Ajv({ strict: true, strictRequired: false, allErrors: true })
formats.default(ajv)

const errorsOf = (validate: ValidateFunction, value: unknown) => (validate(value) ? [] : (validate.errors ?? []))

const samplesOf = (definition: (typeof definitions)[number]): ReadonlyArray<Message> =>
  Effect.runSync(Arbitrary.sampleEffect(Arbitrary.schema(definition.envelope), { seed: SEED, count: SAMPLES }))

/** What travels of a message. */
const wireOf = (message: Message): Record<string, unknown> => {
  const encode = Schema.encodeUnknownSync(Schema.fromJsonString(catalogue[message.type].envelope))
  return JSON.parse(String(encode(message)))
}

/** What a runtime expression such as `$message.payload#/type` finds. */
const locate = (location: string, message: Record<string, unknown>): unknown =>
  location.split("#/")[1]?.split("/").map(JsonPointer.unescapeToken).reduce<unknown>(child, message)

const child = (node: unknown, name: string): unknown => Object.entries(node ?? {}).find(([key]) => key === name)?.[1]

describe("the AsyncAPI document", () => {
  it("is one of version 3.0.0 by the official schema", () => {
    expect(errorsOf(validateDocument, JSON.parse(JSON.stringify(document)))).toEqual([])
    const wrong = {
      ...document,
      operations: { listen: { action: "subscribe", channel: { $ref: "#/channels/events" } } }
    }
    expect(errorsOf(validateDocument, wrong)).not.toEqual([])
  })

  it("has every event, says what it tells, and has no command", () => {
    const names = events.map(({ type }) => type)
    expect(names.length).toBeGreaterThan(10)
    expect(channel.parameters.type.enum).toEqual(names)
    expect(Object.keys(channel.messages)).toEqual(names)
    expect(Object.keys(document.components.messages)).toEqual(names)
    expect(Object.keys(document.operations)).toEqual(names.map((name) => `publish${name}`))
    for (const { summary } of Object.values(document.components.messages)) expect(summary).toMatch(/\.$/)
    for (const { action } of Object.values(document.operations)) expect(action).toBe("send")
    for (const { type } of commands) expect(JSON.stringify(document)).not.toContain(type)
  })

  it("resolves every reference", () => {
    const references = [...JSON.stringify(document).matchAll(/"\$ref":"#\/([^"]+)"/g)]
    expect(references.length).toBeGreaterThan(events.length)
    for (const [, path = ""] of references) {
      expect([path, typeof path.split("/").reduce<unknown>(child, document)]).toEqual([path, "object"])
    }
  })

  it("names subjects, stream and headers as the transport does, and no other stream's subjects", () => {
    const text = JSON.stringify(document)
    expect(text).toContain(streamNames(PREFIX).events)
    expect(text).not.toContain(streamNames(PREFIX_DEFAULT).events)
    for (const [message] of events.map(samplesOf)) {
      if (message === undefined) throw new Error("no sample")
      const wire = wireOf(message)
      const subject = Object.entries(channel.parameters).reduce(
        (address, [name, { location }]) => address.replace(`{${name}}`, String(locate(location, wire))),
        channel.address
      )
      expect(subject).toBe(eventSubject(PREFIX, message.tenantId, message.type, message.aggregateId))
    }
  })
})

describe.each(events.map(({ type }) => type))("the message %s", (type: MessageType) => {
  const described = document.components.messages[type]
  const validatePayload = ajv.compile(described?.payload ?? false)
  const validateHeaders = ajv.compile(described?.headers ?? false)
  const messages = samplesOf(catalogue[type])

  it("fits its payload schema", () => {
    for (const message of messages) expect(errorsOf(validatePayload, wireOf(message))).toEqual([])
  })

  it("fits no more when a part is missing or wrong", () => {
    const [wire = {}] = messages.map(wireOf)
    const { payload, ...rest } = wire
    expect(validatePayload(rest)).toBe(false)
    for (const name of Object.keys(payload ?? {})) {
      const { [name]: _, ...others } = { ...Object(payload) }
      expect([name, validatePayload({ ...rest, payload: others })]).toEqual([name, false])
    }
    for (const change of [{ type: "Another" }, { tenantId: "a b" }, { aggregateId: "1" }, { timestamp: "now" }]) {
      expect([change, validatePayload({ ...wire, ...change })]).toEqual([change, false])
    }
  })

  it("has the headers that are published with it", () => {
    for (const { messageId, correlationId } of messages) {
      const headers = {
        "Nats-Msg-Id": messageId,
        traceparent: traceparentOf(correlationId, messageId),
        [HEADERS.messageId]: messageId,
        [HEADERS.type]: type,
        [HEADERS.correlationId]: correlationId,
        [HEADERS.seq]: "1"
      }
      expect(errorsOf(validateHeaders, headers)).toEqual([])
      expect(errorsOf(validateHeaders, { ...headers, [HEADERS.republished]: "1795000000000" })).toEqual([])
      expect(validateHeaders({ ...headers, [HEADERS.type]: "Another" })).toBe(false)
      expect(validateHeaders({ ...headers, [HEADERS.republished]: "yesterday" })).toBe(false)
    }
  })
})

describe("GET /asyncapi.json", () => {
  const ask = async (options: Api.ApiOptions, method: string) => {
    const layer = Api.layer(options).pipe(Layer.provide(layerStores))
    const { handler, dispose } = HttpRouter.toWebHandler(layer, { disableLogger: true })
    const response = await handler(
      new Request("http://localhost/asyncapi.json", { method, headers: { host: "localhost" } })
    )
    const text = await response.text()
    await dispose()
    return { status: response.status, headers: response.headers, text }
  }

  it("answers the document with the prefix in effect", async () => {
    const answer = await ask({ hosts: [], eventPrefix: PREFIX }, "GET")
    expect(answer.status).toBe(200)
    expect(answer.headers.get("content-type")).toContain("application/json")
    expect(JSON.parse(answer.text)).toEqual(JSON.parse(JSON.stringify(document)))
    const usual = await ask({ hosts: [] }, "GET")
    expect(JSON.parse(usual.text)).toEqual(JSON.parse(JSON.stringify(asyncApi(PREFIX_DEFAULT))))
  })

  it("is read only", async () => {
    const answer = await ask({ hosts: [] }, "POST")
    expect([answer.status, answer.headers.get("allow")]).toEqual([405, "GET, HEAD"])
  })
})
