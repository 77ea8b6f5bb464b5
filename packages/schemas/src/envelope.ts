import { Schema } from "effect"
import { CorrelationId, MessageId, ServiceCallId, TenantId } from "./ids.ts"
import { Timestamp } from "./time.ts"

/** The modules that consume messages. A message type names those that get it, in its definition. */
export const CONSUMERS = ["orchestration", "timer", "execution"] as const
export type Consumer = (typeof CONSUMERS)[number]

export type AggregateType = "Submission" | "ServiceCall" | "Timer" | "ExecutionAttempt"

/**
 * Defines a message. `aggregateId` is the service call's id for every aggregate, `version` the revision of the
 * publishing aggregate, and `timestamp` the publisher's clock at write time.
 */
export const message = <
  const Type extends string,
  const Payload extends Schema.Struct.Fields,
  const To extends Consumer
>(definition: {
  readonly type: Type
  /** A command says what to do, an event what has happened. */
  readonly kind: "command" | "event"
  readonly aggregateType: AggregateType
  readonly to: ReadonlyArray<To>
  readonly payload: Payload
}) => ({
  type: definition.type,
  kind: definition.kind,
  aggregateType: definition.aggregateType,
  to: definition.to,
  payload: Schema.Struct(definition.payload),
  envelope: Schema.Struct({
    messageId: MessageId,
    type: Schema.Literal(definition.type),
    schemaVersion: Schema.Literal(1),
    tenantId: TenantId,
    aggregateType: Schema.Literal(definition.aggregateType),
    aggregateId: ServiceCallId,
    version: Schema.Int.check(Schema.isGreaterThanOrEqualTo(1)),
    timestamp: Timestamp,
    correlationId: CorrelationId,
    /** The message that caused this one; `null` for the first of a chain. */
    causationId: Schema.NullOr(MessageId),
    payload: Schema.Struct(definition.payload)
  })
})
