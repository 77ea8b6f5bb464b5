import type { LiveEvent } from "@event-service-agent/api/representations"
import { formatSpan } from "@event-service-agent/schemas/format-span"
import type { ErrorMeta, ResponseMeta } from "@event-service-agent/schemas/outcome"
import { paint, visible } from "./output.ts"
import { paintStatus } from "./show-call.ts"
import { localTime, timeOfDay } from "./times.ts"

/** An event as it travels, with what its payload may have. */
export interface Change extends Omit<(typeof LiveEvent)["Encoded"], "payload"> {
  readonly payload: {
    readonly name?: string
    readonly dueAt?: string
    readonly latenessMs?: number | null
    readonly responseMeta?: ResponseMeta
    readonly errorMeta?: ErrorMeta
    readonly tags?: ReadonlyArray<string>
  }
}

/** A change in one line. @param name of the call, if it is known */
export const describeChange = (
  { type, timestamp, serviceCallId, payload }: Change,
  name: string | undefined
): string => {
  const change = type.replace(/^ServiceCall/, "")
  const label = change === "TagsChanged" ? paint("dim", "Tags".padEnd(9)) : paintStatus(change, 9)
  const facts = [...(name === undefined ? [] : [name]), factsOf(payload).join(", ")].join("  ")
  return `${timeOfDay(timestamp)}  ${label}  ${serviceCallId}  ${visible(facts)}`.trimEnd()
}

/** What is worth a look. */
const factsOf = ({
  name,
  dueAt,
  latenessMs,
  responseMeta,
  errorMeta,
  tags
}: Change["payload"]): ReadonlyArray<string> => [
  ...(dueAt === undefined ? [] : [`due ${localTime(dueAt)}`]),
  ...(responseMeta === undefined ? [] : [`${responseMeta.status} in ${formatSpan(responseMeta.latencyMs)}`]),
  ...(errorMeta === undefined ? [] : [`${errorMeta.kind}: ${errorMeta.message}, sent: ${errorMeta.sent}`]),
  ...(typeof latenessMs === "number" ? [`${formatSpan(latenessMs)} late`] : []),
  // A submission has both; then the tags are not what has changed.
  ...(tags === undefined || name !== undefined ? [] : [tags.join(", ")])
]
