import type { CorrelationId, ServiceCallKey } from "@event-service-agent/schemas/ids"
import { formatTraceparent, parseTraceparent } from "@event-service-agent/schemas/traceparent"
import { Clock, Context, Effect, Exit, Tracer } from "effect"
import { UnitOfWork } from "./transaction.ts"

/** Whether spans are exported. Otherwise none are made, and messages carry no traceparent. */
export const Tracing = Context.Reference<boolean>("@event-service-agent/platform/Tracing", {
  defaultValue: () => false
})

/** What a span is about. Attributes are for people who may see all calls: no query, no header, no body. */
export interface SpanOptions {
  readonly kind: Tracer.SpanKind
  /** The span that it goes on from; without one it begins a trace. */
  readonly traceparent: string | undefined
  readonly attributes: Readonly<Record<string, unknown>>
  /** It goes on after a wait, so that nobody takes the gap for work: then it is linked to what was before, too. */
  readonly isAfterWait?: boolean
}

/** The traceparent of the span that this is done in; `undefined` while none are exported. */
export const currentTraceparent: Effect.Effect<string | undefined> = Effect.contextWith(
  (context: Context.Context<never>) =>
    Effect.succeed(Context.get(context, Tracing) ? traceparentIn(context) : undefined)
)

/** The span that this is done in; `undefined` while none are exported. */
export const currentSpan: Effect.Effect<Tracer.Span | undefined> = Effect.contextWith(
  (context: Context.Context<never>) => {
    const span = Context.get(context, Tracing) ? Context.getOrUndefined(context, Tracer.ParentSpan) : undefined
    return Effect.succeed(span?._tag === "Span" ? span : undefined)
  }
)

/** The traceparent of the span in a context. */
export const traceparentIn = (context: Context.Context<never>): string | undefined => {
  const span = Context.getOrUndefined(context, Tracer.ParentSpan)
  return span === undefined ? undefined : formatTraceparent(span)
}

/** Begins a span, which whoever calls this ends. */
export const beginSpan = (name: string, { kind, traceparent, attributes, isAfterWait = false }: SpanOptions) => {
  const parsed = parseTraceparent(traceparent)
  const parent = parsed === undefined ? undefined : Tracer.externalSpan(parsed)
  return Effect.makeSpan(name, {
    kind,
    attributes,
    ...(parent === undefined ? { root: true } : { parent }),
    ...(parent !== undefined && isAfterWait ? { links: [{ span: parent, attributes: { "esa.link": "wait" } }] } : {})
  })
}

export const endSpan = (span: Tracer.Span, exit: Exit.Exit<unknown, unknown> = Exit.void): Effect.Effect<void> =>
  Effect.map(Clock.currentTimeNanos, (now) => span.end(now, exit))

/**
 * A part of a unit as a span that ends with the commit. A run of the unit that is rolled back leaves none, so no span
 * tells of what has not happened, and none is told twice; nor has a span a parent that is missing. Costs nothing while
 * spans are not exported.
 */
export const spanInUnit = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  name: string,
  options: SpanOptions
): Effect.Effect<A, E, R | UnitOfWork> =>
  Effect.contextWith((context: Context.Context<UnitOfWork>) => {
    if (!Context.get(context, Tracing)) return self
    const unit = Context.get(context, UnitOfWork)
    return Effect.flatMap(beginSpan(name, options), (span) => {
      const ended = Effect.sync(() => unit.afterCommit(endSpan(span)))
      return Effect.tap(Effect.provideService(self, Tracer.ParentSpan, span), () => ended)
    })
  })

/** Keeps the span of here for what is done after the commit, by somebody else. */
export const keepSpan: Effect.Effect<<A, E>(later: Effect.Effect<A, E>) => Effect.Effect<A, E>> = Effect.contextWith(
  (context: Context.Context<never>) => {
    const span = Context.get(context, Tracing) ? Context.getOrUndefined(context, Tracer.ParentSpan) : undefined
    return Effect.succeed(
      span === undefined ? (later) => later : (later) => Effect.provideService(later, Tracer.ParentSpan, span)
    )
  }
)

/** What every span of a call says of it. */
export const callAttributes = ({ tenantId, serviceCallId }: ServiceCallKey, correlationId: CorrelationId) => ({
  "esa.tenant_id": tenantId,
  "esa.service_call_id": serviceCallId,
  "esa.correlation_id": correlationId
})

/** How a span ends that says no more than what kind of thing went wrong: errors of others may have secrets in them. */
export const failedAs = (kind: string): Exit.Exit<never, string> => Exit.fail(kind)
