import { styleText } from "node:util"
import { Tracing } from "@event-service-agent/platform/tracing"
import { MASK, redactText } from "@event-service-agent/schemas/redaction"
import { Cause, Context, Effect, type Fiber, Formatter, Layer, Logger, References, Tracer } from "effect"
import type { Settings } from "./config.ts"
import { type LogOutput, standardOutput } from "./log-output.ts"

/**
 * Log lines as objects. Lines that say what went wrong repeat errors of others, so what looks secret in them is masked;
 * all others are made of fixed words and ids.
 */
const structured = Logger.map(
  Logger.make<unknown, ReturnType<typeof Logger.formatStructured.log>>((options) => {
    const formatted = Logger.formatStructured.log(options)
    const line = { ...formatted, message: inOne(formatted.message) }
    const ids = traceIdsOf(options.fiber)
    return ids === undefined ? line : { ...line, annotations: { ...line.annotations, ...ids } }
  }),
  (line) =>
    line.cause === undefined && QUIET.has(line.level)
      ? line
      : { ...line, message: masked(line.message), cause: line.cause === undefined ? undefined : redactText(line.cause) }
)
const QUIET = new Set(["TRACE", "DEBUG", "INFO"])

/** What was logged as several texts, as one. */
const inOne = (message: unknown): unknown =>
  Array.isArray(message) && message.every((part) => typeof part === "string") ? message.join(": ") : message

/** One JSON object in each line. Effect's own formatter takes three times as long, for what these lines do not have. */
export const jsonLines = Logger.map(structured, (line) =>
  oneLine(QUIET.has(line.level) ? JSON.stringify(line) : Formatter.formatJson(line))
)

/** One line of `name=value` pairs. */
export const logfmtLines = Logger.make<unknown, string>((options) => {
  const ids = Object.entries(traceIdsOf(options.fiber) ?? {}).map(([name, id]) => ` ${name}=${id}`)
  const line = Logger.formatLogFmt.log({ ...options, message: inOne(options.message) })
  return oneLine(redactText(line) + ids.join(""))
})

/** One line for people: time, level, what happened, and to what. Colours follow the terminal and NO_COLOR. */
export const prettyLines = Logger.map(structured, ({ timestamp, level, message, annotations, cause }) => {
  const messages = Array.isArray(message) ? message : [message]
  const fields = Object.entries(annotations).map(([name, value]) => `${name}=${visible(value)}`)
  const parts = [
    styleText("dim", timestamp.slice(11, 23)),
    paintLevel(level),
    ...messages.map(visible),
    ...(fields.length === 0 ? [] : [styleText("dim", fields.join(" "))])
  ]
  return parts.join(" ") + (cause === undefined ? "" : `\n${indented(cause)}`)
})

/** Set apart from lines of the log, whatever it holds. */
const indented = (text: string): string =>
  text
    .split(/\r?\n/)
    .map((line) => `    ${visible(line)}`)
    .join("\n")

/** Writes lines, and after a gap how many are missing. */
export const toOutput = (lines: Logger.Logger<unknown, string>, output: LogOutput): Logger.Logger<unknown, void> => {
  let missing = 0
  return Logger.make((options) => {
    if (missing > 0) {
      const message = [`${missing} lines before this one are missing: nobody read the log`]
      if (output.write(lines.log({ ...options, message, logLevel: "Warn", cause: Cause.empty }))) missing = 0
    }
    if (!output.write(lines.log(options))) missing++
  })
}

/** Of the span in which a line is written, while spans are exported. */
const traceIdsOf = (fiber: Fiber.Fiber<unknown, unknown>) => {
  if (!fiber.getRef(Tracing)) return undefined
  const span = Context.getOrUndefined(fiber.context, Tracer.ParentSpan)
  return span === undefined ? undefined : { traceId: span.traceId, spanId: span.spanId }
}

/** The texts in a message masked, wherever in it they are. What is nested deeper is a cycle, or no message. */
const masked = (value: unknown, depth = 0): unknown => {
  if (typeof value === "string") return redactText(value)
  if (typeof value !== "object" || value === null) return value
  if (depth === DEPTH_MAX) return MASK
  if (value instanceof Error) return { name: value.name, message: redactText(value.message) }
  if (Array.isArray(value)) return value.map((part) => masked(part, depth + 1))
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, masked(part, depth + 1)]))
}
const DEPTH_MAX = 8

/** As it is when it fits on the line; otherwise as JSON, where line breaks and control characters are escaped. */
const visible = (value: unknown): string =>
  typeof value === "string" && !UNSEEN.test(value) ? value : escaped(JSON.stringify(value))

/** What a terminal acts upon, or does not show: control characters, line ends, changes of the direction of writing. */
const UNSEEN = /[\p{Cc}\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/u
const UNSEEN_ALL = new RegExp(UNSEEN, "gu")
const escaped = (text: string | undefined): string =>
  text?.replaceAll(UNSEEN_ALL, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`) ?? "undefined"

/** JSON leaves some of these as they are. */
const oneLine = (line: string): string => (UNSEEN.test(line) ? escaped(line) : line)

const paintLevel = (level: string): string => {
  if (level === "WARN") return styleText("yellow", level)
  return level === "ERROR" || level === "FATAL" ? styleText("red", level) : level
}

const FORMATS = { pretty: prettyLines, json: jsonLines, logfmt: logfmtLines }

/** The log as the settings say. */
export const layerLogs = ({ logFormat, logLevel }: Settings) =>
  Layer.merge(
    Logger.layer([toOutput(FORMATS[logFormat], standardOutput())]),
    Layer.succeed(References.MinimumLogLevel, logLevel)
  )

/**
 * Says on the error output why there is no service, in the format of the log.
 *
 * @param message may have several lines, which people see as such
 */
export const tellFatal = (message: string, format: Settings["logFormat"]): Effect.Effect<void> =>
  format === "pretty"
    ? Effect.sync(() => console.error(message.split("\n").map(visible).join("\n")))
    : Effect.provide(
        Effect.logFatal(message),
        Logger.layer([Logger.map(FORMATS[format], (line) => console.error(line))])
      )
