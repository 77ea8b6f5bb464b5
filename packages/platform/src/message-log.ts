import type { Message } from "@event-service-agent/schemas/messages/catalogue"
import { Effect } from "effect"

/** A debug line for a message that is written or handled. */
export const logMessage = (step: "publish" | "consume", message: Message): Effect.Effect<void> =>
  Effect.annotateLogs(Effect.logDebug(`${step} ${message.type}`), annotationsOf(message))

/** What a log line says of a message. */
export const annotationsOf = (message: Message) => ({
  tenantId: message.tenantId,
  serviceCallId: message.aggregateId,
  correlationId: message.correlationId,
  messageId: message.messageId
})
