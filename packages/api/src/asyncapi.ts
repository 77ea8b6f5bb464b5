import { CorrelationId, MessageId } from "@event-service-agent/schemas/ids"
import { catalogue, type MessageType } from "@event-service-agent/schemas/messages/catalogue"
import { eventSubject, HEADERS, streamNames } from "@event-service-agent/schemas/nats"
import { JsonSchema, Schema } from "effect"
import { VERSION } from "./contract.ts"

/** JetStream's own header: what it takes for the same message within its duplicate window. */
const NATS_MESSAGE_ID = "Nats-Msg-Id"
const TRACEPARENT = "traceparent"

/** What each event tells, in the order of a call's life. */
const SUMMARIES: Partial<Readonly<Record<MessageType, string>>> = {
  ServiceCallSubmitted: "The agent has taken on the call. The request is the redacted view.",
  ServiceCallScheduled: "The call waits for its due time, or for its turn when that has passed.",
  ServiceCallTagsChanged: "The call has other tags: these.",
  DueTimeReached: "The timer found the call due.",
  ServiceCallRunning: "The call was released: its attempt is about to start.",
  ExecutionStarted: "An attempt is claimed. Nothing of it leaves before this is on disk.",
  ExecutionSucceeded: "The attempt got an answer from 200 to 299.",
  ExecutionFailed: "The attempt failed; `sent` says whether the request left.",
  ServiceCallSucceeded: "The call ended with an answer from 200 to 299.",
  ServiceCallFailed: "The call ended without one.",
  ServiceCallCancelled: "The call was cancelled before anything was sent."
}

type Definition = (typeof catalogue)[MessageType]

/** What the JSON Schema of an envelope says too little about. */
const FIELDS: Readonly<Record<keyof Definition["envelope"]["fields"], string>> = {
  messageId: "Names the message. It stays the same however often the message is published.",
  type: "What happened.",
  schemaVersion: "The version of this form. Fields may be added to it; do not refuse those you do not know.",
  tenantId: "Whose call it is.",
  aggregateType: "What published the message: `version` counts its revisions.",
  aggregateId: "The id of the service call, whatever the aggregate.",
  version: "The revision of the publishing aggregate. It grows with each of its events.",
  timestamp: "The publisher's clock when it was written.",
  correlationId: "Joins everything that followed from one request to the API.",
  causationId: "The message that caused this one; null for the first of a chain.",
  payload: "What happened, in detail."
}

/**
 * The public contract of the events on NATS as an AsyncAPI 3.0 document, made from the schemas of the messages.
 *
 * @param prefix what names of streams and subjects begin with
 */
export const asyncApi = (prefix: string) => {
  const events = Object.values(catalogue).filter(({ kind }) => kind === "event")
  const channel = { $ref: "#/channels/events" }
  return {
    asyncapi: "3.0.0",
    info: {
      title: "Event Service Agent: events",
      version: VERSION,
      description: explain(prefix),
      license: { name: "MIT" }
    },
    defaultContentType: "application/json",
    servers: {
      nats: {
        host: "{host}",
        protocol: "nats",
        description:
          "The NATS servers that the agent uses, with JetStream. Ask its operator for an address and a login.",
        variables: { host: { default: "nats.example.com:4222", description: "Host and port of one of them." } }
      }
    },
    channels: {
      events: {
        address: eventSubject(prefix, "{tenantId}", "{type}", "{serviceCallId}"),
        title: "Events",
        description: `Kept in the stream ${streamNames(prefix).events}. Put * for a parameter to listen to all of them.`,
        servers: [{ $ref: "#/servers/nats" }],
        parameters: {
          tenantId: { description: FIELDS.tenantId, location: "$message.payload#/tenantId" },
          type: {
            description: FIELDS.type,
            enum: events.map(({ type }) => type),
            location: "$message.payload#/type"
          },
          serviceCallId: { description: FIELDS.aggregateId, location: "$message.payload#/aggregateId" }
        },
        messages: Object.fromEntries(events.map(({ type }) => [type, { $ref: `#/components/messages/${type}` }]))
      }
    },
    operations: Object.fromEntries(
      events.map(({ type }) => [
        `publish${type}`,
        {
          action: "send",
          channel,
          summary: SUMMARIES[type],
          messages: [{ $ref: `${channel.$ref}/messages/${type}` }]
        }
      ])
    ),
    components: {
      messages: Object.fromEntries(
        events.map((definition) => [
          definition.type,
          {
            name: definition.type,
            title: definition.type,
            summary: SUMMARIES[definition.type],
            contentType: "application/json",
            correlationId: { location: `$message.header#/${HEADERS.correlationId}` },
            headers: headersOf(definition.type),
            payload: payloadOf(definition)
          }
        ])
      )
    }
  }
}

const explain = (prefix: string): string => {
  const streams = streamNames(prefix)
  return [
    `What happens to service calls, as it is published on NATS JetStream while the agent runs with NATS_URL. Read the stream \`${streams.events}\` with a consumer of your own.`,
    "**At least once.** Every event that was committed is published, and published again when it is not certain that the broker has it. So an event may come twice.",
    `**Each once, for you.** Remember \`${HEADERS.messageId}\`, which is \`messageId\` in the payload, and skip what you have handled. \`${NATS_MESSAGE_ID}\` is no help: it differs when a message is published again.`,
    `**In order per service call.** The events of one call come in the order in which they happened, which is that of \`${HEADERS.seq}\`. There is no order between calls.`,
    `**Published again.** When an operator refills the stream, events come after younger ones of their call. They carry \`${HEADERS.republished}\`, and otherwise the content, \`${HEADERS.messageId}\` and \`${HEADERS.seq}\` of the first time.`,
    `**Private.** Commands, and the stream \`${streams.work}\` with all its subjects, belong to the agent: they may change at any time, and a consumer there takes messages away from it. Events hold the redacted view of a request, never the request.`
  ].join("\n\n")
}

const headersOf = (type: MessageType) => {
  const digits = { type: "string", pattern: "^[0-9]+$" }
  return {
    type: "object",
    required: [NATS_MESSAGE_ID, TRACEPARENT, HEADERS.messageId, HEADERS.type, HEADERS.correlationId, HEADERS.seq],
    properties: {
      [NATS_MESSAGE_ID]: {
        type: "string",
        description:
          "For the broker: by it, it drops what it got twice. It differs when the message is published again."
      },
      [TRACEPARENT]: {
        type: "string",
        pattern: "^00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]$",
        description:
          "W3C Trace Context: the span that published the event, while the agent exports its spans. Otherwise a span that nobody has, in a trace that is the correlation id without dashes."
      },
      [HEADERS.messageId]: { ...schemaOf(MessageId), description: FIELDS.messageId },
      [HEADERS.type]: { type: "string", const: type },
      [HEADERS.correlationId]: { ...schemaOf(CorrelationId), description: FIELDS.correlationId },
      [HEADERS.seq]: { ...digits, description: "Its place in the agent's log. It grows within a service call." },
      [HEADERS.republished]: {
        ...digits,
        description: "Only on what was published again on request: when, in milliseconds since 1970."
      }
    }
  }
}

const payloadOf = ({ envelope }: Definition) => {
  const { properties, ...rest } = schemaOf(envelope)
  const described = Object.entries(FIELDS).map(([name, description]) => [
    name,
    { ...memberOf(properties, name), description }
  ])
  return { ...rest, properties: Object.fromEntries(described) }
}

/** Of what travels, in the dialect that AsyncAPI reads by default. All in one piece: the document has its own roots. */
const schemaOf = (schema: Schema.Constraint): JsonSchema.JsonSchema =>
  JsonSchema.toDocumentDraft07(Schema.toJsonSchemaDocument(schema, { referencePolicy: () => undefined })).schema

const memberOf = (schema: unknown, name: string): object => {
  const member = Object.entries(schema ?? {}).find(([key]) => key === name)?.[1]
  return typeof member === "object" ? member : {}
}
