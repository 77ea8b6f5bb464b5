import type { DeadLetter } from "@event-service-agent/platform/outbox"
import type { StorageError } from "@event-service-agent/platform/storage-error"
import { fromMillis } from "@event-service-agent/schemas/time"
import { Context, Effect, Schema, Scope } from "effect"
import { fieldErrors, invalid } from "./read-json.ts"
import { orUnavailable } from "./storage-trouble.ts"

/** Gives to handlers what their group is built with, and `orUnavailable`. The hottest one does without: it costs 2 µs. */
export const withServices = <Services>() =>
  Effect.map(
    Effect.context<Services>(),
    // Not the scope: what a request opens ends with it.
    (services) =>
      <A, E, R>(self: Effect.Effect<A, E | StorageError, R>) =>
        Effect.provideContext(orUnavailable(self), Context.omit(Scope.Scope)(services))
  )

/** Reads a body as the schema has it: everything that is wrong, and nothing that it does not know. */
export const decode = <A>(schema: Schema.Decoder<A>) => {
  const decodeUnknown = Schema.decodeUnknownEffect(schema, { errors: "all", onExcessProperty: "error" })
  return (body: unknown) => Effect.mapError(decodeUnknown(body), (error) => invalid(fieldErrors("body", error)))
}
/** A dead letter for those who look at it. */
export const problemOf = ({ consumer, seq, type, attempts, error, diedAt }: DeadLetter) => ({
  consumer,
  seq,
  messageType: type,
  attempts,
  error,
  diedAt: fromMillis(diedAt)
})
