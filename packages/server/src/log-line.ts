import { styleText } from "node:util"
import { Logger } from "effect"

/** One line for people: time, level, what happened, and to what. Colours follow the terminal and NO_COLOR. */
export const lineLogger = Logger.withConsoleLog(
  Logger.map(Logger.formatStructured, ({ timestamp, level, message, annotations, cause }) => {
    const messages = Array.isArray(message) ? message : [message]
    const fields = Object.entries(annotations).map(([name, value]) => `${name}=${visible(value)}`)
    const parts = [
      styleText("dim", timestamp.slice(11, 23)),
      paintLevel(level),
      ...messages.map(visible),
      ...(fields.length === 0 ? [] : [styleText("dim", fields.join(" "))])
    ]
    return parts.join(" ") + (cause === undefined ? "" : `\n${cause}`)
  })
)

/** As it is when it fits on the line; otherwise as JSON, where line breaks and control characters are escaped. */
const visible = (value: unknown): string =>
  typeof value === "string" && /^[\x20-\x7e\u00a0-\uffff]*$/.test(value) ? value : JSON.stringify(value)

const paintLevel = (level: string): string => {
  if (level === "WARN") return styleText("yellow", level)
  return level === "ERROR" || level === "FATAL" ? styleText("red", level) : level
}
