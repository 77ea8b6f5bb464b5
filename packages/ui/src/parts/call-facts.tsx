import { formatSpan } from "@event-service-agent/schemas/format-span"
import type { Detail } from "../lib/wire.ts"

/** The numbers of a call that has ended: status, duration, lateness. */
export const CallFacts = ({ call: { outcome, latenessMs } }: { readonly call: Detail }) => {
  if (outcome === null || outcome.type === "Cancelled") return null
  const answer = outcome.type === "Succeeded" ? outcome.response : outcome.error
  // Nobody knows whether it left, and what was answered.
  const isKnown = outcome.type === "Succeeded" || outcome.error.kind !== "OutcomeUnknown"
  const values = [
    ["Status", answer.status === undefined ? (isKnown ? "none" : "unknown") : String(answer.status)],
    ["Duration", answer.latencyMs === undefined ? "–" : formatSpan(answer.latencyMs)],
    ["Lateness", latenessMs === null ? (isKnown ? "not sent" : "unknown") : formatSpan(latenessMs)],
    ["Body", answer.bodyBytes === undefined ? "–" : formatBytes(answer.bodyBytes)]
  ] as const
  return (
    <dl class="figures">
      {values.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  )
}

export const formatBytes = (bytes: number): string =>
  bytes < 1_024
    ? `${bytes} B`
    : bytes < 1_048_576
      ? `${(bytes / 1_024).toFixed(1)} KiB`
      : `${(bytes / 1_048_576).toFixed(1)} MiB`
