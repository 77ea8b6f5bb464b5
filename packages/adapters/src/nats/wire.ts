import type { Relay } from "@event-service-agent/platform/outbox"
import { CONSUMERS, type Consumer } from "@event-service-agent/schemas/envelope"
import { ServiceCallKey } from "@event-service-agent/schemas/ids"
import { catalogue } from "@event-service-agent/schemas/messages/catalogue"
import { eventSubject, HEADERS, traceparentOf, workSubject } from "@event-service-agent/schemas/nats"
import { fromMillis } from "@event-service-agent/schemas/time"
import { headers, type MsgHdrs } from "@nats-io/transport-node"
import { Schema } from "effect"
import type { RelayRow } from "./relay-store.ts"

/** What the broker's own protocol and our headers take beside the payload, at most. */
const HEADER_BYTES = 1_024

/** A message on its way to the broker. */
export interface Outgoing {
  readonly subject: string
  readonly payload: string
  readonly headers: MsgHdrs
  /** The broker stores each only once within its duplicate window. */
  readonly publishId: string
}

/** @param payloadBytesMax what the broker takes at once; a sealed request that does not fit is left out */
export const toOutgoing = (relay: Relay, prefix: string, row: RelayRow, payloadBytesMax: number): Outgoing => {
  const { type, tenantId, serviceCallId, messageId, correlationId, again } = row
  const sealed = row.sealed === null ? undefined : envelopeOf(row, Buffer.from(row.sealed).toString("base64"))
  const isOmitted = sealed !== undefined && Buffer.byteLength(sealed) + HEADER_BYTES > payloadBytesMax
  const header = headers()
  header.set(HEADERS.messageId, messageId)
  header.set(HEADERS.type, type)
  header.set(HEADERS.correlationId, correlationId)
  header.set(HEADERS.seq, String(row.seq))
  header.set("traceparent", row.traceparent ?? traceparentOf(correlationId, messageId))
  if (isOmitted) header.set(HEADERS.sealed, "omitted")
  if (again > 0) header.set(HEADERS.republished, String(again))
  const [consumer] = catalogue[type].to
  const isWork = relay === "relay-work" && consumer !== undefined
  return {
    subject: isWork ? workSubject(prefix, consumer, row) : eventSubject(prefix, tenantId, type, serviceCallId),
    payload: sealed === undefined || isOmitted ? envelopeOf(row, null) : sealed,
    headers: header,
    publishId: again === 0 ? messageId : `${messageId}:${again}`
  }
}

/** The envelope as its schema encodes it. The stored payload is JSON already. */
const envelopeOf = (row: RelayRow, sealed: string | null): string => {
  const envelope = JSON.stringify({
    messageId: row.messageId,
    type: row.type,
    schemaVersion: 1,
    tenantId: row.tenantId,
    aggregateType: catalogue[row.type].aggregateType,
    aggregateId: row.serviceCallId,
    version: row.version,
    timestamp: fromMillis(row.timestamp),
    correlationId: row.correlationId,
    causationId: row.causationId
  })
  const payload = sealed === null ? row.payload : JSON.stringify({ ...JSON.parse(row.payload), sealed })
  return `${envelope.slice(0, -1)},"payload":${payload}}`
}

/** What a message of the work stream is about. */
export interface Incoming {
  readonly consumer: Consumer
  readonly key: ServiceCallKey
  readonly seq: number
}

const isKey = Schema.is(ServiceCallKey)

/** `undefined` when it is not one of ours. */
export const toIncoming = (subject: string, header: MsgHdrs | undefined): Incoming | undefined => {
  const [consumerName, tenantId, serviceCallId] = subject.split(".").slice(-3)
  const consumer = CONSUMERS.find((one) => one === consumerName)
  const key = { tenantId, serviceCallId }
  const seq = Number(header?.get(HEADERS.seq))
  return consumer !== undefined && isKey(key) && Number.isSafeInteger(seq) && seq > 0
    ? { consumer, key, seq }
    : undefined
}
