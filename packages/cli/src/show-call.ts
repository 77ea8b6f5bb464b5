import { formatSpan } from "@event-service-agent/schemas/format-span"
import type { Detail } from "./calls.ts"
import { type Colour, paint, visible } from "./output.ts"
import { fromNow, localTime, timeOfDay } from "./times.ts"

const COLOURS: Readonly<Record<string, Colour>> = {
  Succeeded: "green",
  Failed: "red",
  Cancelled: "dim",
  Running: "cyan",
  Scheduled: "blue"
}

/** The state in its colour, filled up to `width`. */
export const paintStatus = (status: string, width = 0): string => paint(COLOURS[status] ?? "dim", status.padEnd(width))

/** Lines of a name and what belongs to it, the second column aligned. */
export const inColumns = (rows: ReadonlyArray<readonly [name: string, value: string]>): ReadonlyArray<string> => {
  const width = Math.max(0, ...rows.map(([name]) => name.length))
  return rows.map(([name, value]) => `${paint("dim", name.padEnd(width))}  ${value}`)
}

/** All about a call, for people. */
export const describeCall = (call: Detail, now: number): ReadonlyArray<string> => [
  ...inColumns([
    ["id", call.serviceCallId],
    ["name", visible(call.name)],
    ["status", paintStatus(call.status)],
    ["request", visible(`${call.request.method} ${call.request.url}`) + bytes(call.request.bodyBytes)],
    ...Object.entries(call.request.headers).map(([name, value]) => ["", visible(`${name}: ${value}`)] as const),
    ...(call.tags.length === 0 ? [] : [["tags", visible(call.tags.join(", "))] as const]),
    ["due", `${localTime(call.dueAt)} (${fromNow(call.dueAt, now)})`],
    ...(call.latenessMs === null ? [] : [["lateness", formatSpan(call.latenessMs)] as const]),
    ...(call.attempt === null ? [] : [["attempt", String(call.attempt.number)] as const]),
    ...(call.onUnknown === "fail" ? [] : [["on unknown", call.onUnknown] as const]),
    ...(call.clonedFrom === null ? [] : [["cloned from", call.clonedFrom] as const]),
    ...(call.requestKept && call.outcome !== null ? [["request kept", "yes: resend can repeat it"] as const] : []),
    ["correlation", call.correlationId]
  ]),
  "",
  ...call.history.map(({ status, at }, index) => {
    const before = call.history[index - 1]
    const gap = before === undefined ? "" : `+${formatSpan(Date.parse(at) - Date.parse(before.at))}`
    return `${timeOfDay(at)}  ${paintStatus(status, 9)}  ${paint("dim", gap)}`.trimEnd()
  }),
  ...describeOutcome(call),
  ...call.problems.flatMap((problem) => [
    "",
    paint("red", visible(`dead letter ${problem.consumer} ${problem.seq}: ${problem.messageType}`)),
    visible(`  ${problem.attempts} tries, ${problem.error}`)
  ])
]

const bytes = (count: number): string => (count === 0 ? "" : ` (${count} bytes)`)

const describeOutcome = ({ outcome }: Detail): ReadonlyArray<string> => {
  switch (outcome?.type) {
    case undefined:
      return []
    case "Succeeded": {
      const { status, latencyMs, bodyBytes, headers, bodySnippet } = outcome.response
      return [
        "",
        `${status} in ${formatSpan(latencyMs)}${bytes(bodyBytes)}`,
        ...answer(headers, bodySnippet, bodyBytes)
      ]
    }
    case "Failed": {
      const { kind, message, sent, latencyMs, headers = {}, bodySnippet = "", bodyBytes = 0 } = outcome.error
      const took = latencyMs === undefined ? "" : ` after ${formatSpan(latencyMs)}`
      return [
        "",
        paint("red", `${kind}${took}`),
        visible(message),
        `sent: ${sent}`,
        ...answer(headers, bodySnippet, bodyBytes)
      ]
    }
    case "Cancelled":
      return ["", visible(outcome.reason === null ? "cancelled" : `cancelled: ${outcome.reason}`)]
  }
}

const answer = (
  headers: Readonly<Record<string, string>>,
  snippet: string,
  bodyBytes: number
): ReadonlyArray<string> => [
  ...Object.entries(headers).map(([name, value]) => paint("dim", visible(`${name}: ${value}`))),
  ...(snippet === "" ? [] : ["", visible(snippet, true).trimEnd()]),
  ...(new TextEncoder().encode(snippet).byteLength < bodyBytes ? [paint("dim", "… (the rest is not kept)")] : [])
]
